// SPDX-License-Identifier: Apache-2.0
//
// Messages with fields for machines, and where messages go. The journal of systemd shows the fields
// with `-o verbose`, and finds messages by them: journalctl REMORA_REAL=10.1.3.101
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "log/log.h"

namespace remora::log {

struct Field {
  std::string_view name;  // "REAL" for REMORA_REAL
  std::string value;
};

// Takes a message instead of standard error. Returns false if it cannot.
using Writer = std::function<bool(Level level, const std::string& text, std::span<const Field>)>;

// Before any other thread writes to the log.
void use(Writer writer);

void write(Level level, std::span<const Field> fields, fmt::string_view format,
           fmt::format_args arguments);

// log::With({{"REAL", "10.1.3.101"}}).warn("real {} is dead", …)
class With {
 public:
  explicit With(std::vector<Field> fields) : fields_(std::move(fields)) {}

  template <class... Arguments>
  void info(fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
    write(Level::info, fields_, format, fmt::make_format_args(arguments...));
  }

  template <class... Arguments>
  void warn(fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
    write(Level::warning, fields_, format, fmt::make_format_args(arguments...));
  }

 private:
  const std::vector<Field> fields_;
};

}  // namespace remora::log
