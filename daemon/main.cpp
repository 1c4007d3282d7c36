// SPDX-License-Identifier: Apache-2.0
//
// remorad: serves, checks a configuration, or detaches an instance.
#include <iostream>
#include <string>

#include "daemon/command_line/exit_codes.h"
#include "daemon/commands.h"
#include "daemon/config/config.h"
#include "daemon/journal.h"
#include "log/log.h"

namespace {

void run(const remora::Options& options) {
  if (!options.check.empty())
    check(options);
  else if (options.detach)
    detach(options);
  else
    serve(options);
}

void complain(const std::string& text) {
  if (remora::is_in_journal())
    remora::log::error("{}", text);
  else
    std::cerr << text << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  const auto parsed = remora::parse_options(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  try {
    run(std::get<remora::Options>(parsed));
    return remora::kDone;
  } catch (const remora::ConfigError& error) {
    complain(error.what());
    return remora::kWrongUsage;
  } catch (const std::exception& error) {
    complain(std::string("remorad: ") + error.what());
    return remora::kFailed;
  }
}
