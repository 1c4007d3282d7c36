// SPDX-License-Identifier: Apache-2.0
//
// The commands of remorad.
#pragma once

#include "daemon/options.h"

namespace remora {

// Each returns when it is done, and throws std::exception if it failed, ConfigError if the
// configuration is wrong.
void serve(const Options& options);   // until it is told to stop
void detach(const Options& options);  // removes the instance from its interface
void check(const Options& options);   // checks the configuration file only; needs no root

}  // namespace remora
