// SPDX-License-Identifier: Apache-2.0
#include "log/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <utility>

#include "log/fields.h"

namespace remora::log {
namespace {

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warning:
      return spdlog::level::warn;
    case Level::error:
      break;
  }
  return spdlog::level::err;
}

Writer& the_writer() {
  static Writer writer;
  return writer;
}

}  // namespace

void start(const std::string& process, const std::string& level) {
  auto logger = spdlog::stderr_logger_mt(process);
  // Under systemd the journal adds the time.
  logger->set_pattern(std::getenv("JOURNAL_STREAM") ? "%l: %v" : "%Y-%m-%d %H:%M:%S.%e %l: %v");
  spdlog::set_default_logger(logger);
  spdlog::set_level(spdlog::level::from_str(level));
}

bool is_written(Level level) {
  return spdlog::should_log(to_spdlog(level));
}

void use(Writer writer) {
  the_writer() = std::move(writer);
}

void write(Level level, std::span<const Field> fields, fmt::string_view format,
           fmt::format_args arguments) {
  if (!is_written(level)) return;
  const std::string text = fmt::vformat(format, arguments);
  if (const Writer& writer = the_writer(); writer && writer(level, text, fields)) return;
  spdlog::log(to_spdlog(level), text);
}

void write(Level level, fmt::string_view format, fmt::format_args arguments) {
  write(level, {}, format, arguments);
}

}  // namespace remora::log
