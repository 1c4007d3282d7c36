// SPDX-License-Identifier: Apache-2.0
//
// What remorad does for a command line.
#pragma once

#include "daemon/options.h"

namespace remora {

// Each returns when it is done, and throws std::exception when it could not be done; ConfigError
// for a wrong configuration.
void serve(const Options& options);   // until it is told to stop
void detach(const Options& options);  // takes the instance off its interface
void check(const Options& options);   // the configuration file alone; needs no root

}  // namespace remora
