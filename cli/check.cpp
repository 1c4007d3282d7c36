// SPDX-License-Identifier: Apache-2.0
#include "cli/check.h"

#include <exception>
#include <nlohmann/json.hpp>
#include <string>

#include "daemon/command_line/exit_codes.h"
#include "daemon/config/changes.h"
#include "daemon/config/config.h"
#include "daemon/config/keys.h"

namespace remora {
namespace {

Config load_and_tell(const std::filesystem::path& path, std::ostream& out) {
  Config config = load_config(path);
  for (const Problem& warning : config.warnings)
    out << describe(config.file, warning) << " (warning)\n";
  out << config.file << ": ok\n";
  return config;
}

}  // namespace

int check(const CheckOptions& options, std::ostream& out) {
  load_and_tell(options.config.empty() ? "/etc/remora/remora.toml" : options.config, out);
  return kDone;
}

int check(const CheckOptions& options, const nlohmann::ordered_json& in_force, std::ostream& out) {
  const std::filesystem::path file = in_force.at("file").get<std::string>();
  const Config next = load_and_tell(options.config.empty() ? file : options.config, out);
  const Config running =
      parse_config(in_force.at("text").get<std::string>(), "the configuration in force");
  const auto changes = describe_changes(running, next);
  for (const std::string& change : changes) out << change << '\n';
  if (changes.empty()) {
    out << "nothing would change\n";
    return kDone;
  }
  try {
    require_reloadable(running, next);
  } catch (const std::exception& error) {
    out << "a reload would be REFUSED: " << error.what() << '\n';
    return kNotInOrder;
  }
  out << "a reload would apply " << (changes.size() == 1 ? "this change" : "these changes") << '\n';
  return kDone;
}

}  // namespace remora
