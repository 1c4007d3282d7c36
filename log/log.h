// SPDX-License-Identifier: Apache-2.0
//
// The log of the process. Any thread may write to it.
//
// log.cpp alone includes spdlog: one call of spdlog::info() takes the compiler four seconds,
// one of log::info() a third of a second.
#pragma once

#include <fmt/core.h>

#include <string>

namespace remora::log {

enum class Level { debug, info, warning, error };

// Sets the log's output from now on: messages of `level` (trace, debug, info, warning or error) and
// above, to standard error.
void start(const std::string& process, const std::string& level);

bool is_written(Level level);

void write(Level level, fmt::string_view format, fmt::format_args arguments);

template <class... Arguments>
void debug(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  write(Level::debug, format, fmt::make_format_args(arguments...));
}

template <class... Arguments>
void info(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  write(Level::info, format, fmt::make_format_args(arguments...));
}

template <class... Arguments>
void warn(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  write(Level::warning, format, fmt::make_format_args(arguments...));
}

template <class... Arguments>
void error(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  write(Level::error, format, fmt::make_format_args(arguments...));
}

}  // namespace remora::log
