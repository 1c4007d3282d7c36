// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal.h"

#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "log/fields.h"

namespace remora {
namespace {

int priority_of(log::Level level) {
  switch (level) {
    case log::Level::debug:
      return LOG_DEBUG;
    case log::Level::info:
      return LOG_INFO;
    case log::Level::warning:
      return LOG_WARNING;
    case log::Level::error:
      break;
  }
  return LOG_ERR;
}

bool send(log::Level level, const std::string& text, std::span<const log::Field> fields) {
  std::vector<std::string> entries = {"MESSAGE=" + text,
                                      "PRIORITY=" + std::to_string(priority_of(level)),
                                      "SYSLOG_IDENTIFIER=remorad"};
  for (const log::Field& field : fields)
    entries.push_back("REMORA_" + std::string(field.name) + "=" + field.value);
  std::vector<iovec> parts;
  for (std::string& entry : entries) parts.push_back({entry.data(), entry.size()});
  return sd_journal_sendv(parts.data(), static_cast<int>(parts.size())) == 0;
}

}  // namespace

bool is_in_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat error {};
  return stream && fstat(STDERR_FILENO, &error) == 0 &&
         std::to_string(error.st_dev) + ":" + std::to_string(error.st_ino) == stream;
}

void log_to_journal() {
  if (is_in_journal()) log::use(send);
}

}  // namespace remora
