// SPDX-License-Identifier: Apache-2.0
#include "daemon/protocol/start_failure.h"

#include <fstream>
#include <iterator>
#include <system_error>

namespace remora {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfiguration = "configuration";
constexpr const char* kStart = "start";

}  // namespace

fs::path start_failure_file(const fs::path& runtime_dir, const fs::path& config) {
  return runtime_dir / (config.stem().string() + ".failed");
}

bool write_start_failure(const fs::path& file, const StartFailure& failure) noexcept {
  try {
    std::error_code error;
    fs::create_directories(file.parent_path(), error);
    fs::path fresh = file;
    fresh += ".new";
    std::ofstream out(fresh, std::ios::trunc);
    out << failure.at_s << ' ' << (failure.is_configuration ? kConfiguration : kStart) << '\n'
        << failure.reason;
    out.close();
    if (!out) return false;
    fs::rename(fresh, file, error);
    return !error;
  } catch (const std::exception&) {
    return false;
  }
}

std::optional<StartFailure> read_start_failure(const fs::path& file) {
  std::ifstream in(file);
  StartFailure failure;
  std::string kind;
  if (!(in >> failure.at_s >> kind) || (kind != kConfiguration && kind != kStart))
    return std::nullopt;
  in.ignore();  // the end of the line
  failure.is_configuration = kind == kConfiguration;
  failure.reason.assign(std::istreambuf_iterator<char>(in), {});
  return failure;
}

}  // namespace remora
