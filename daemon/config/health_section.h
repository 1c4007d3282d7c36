// SPDX-License-Identifier: Apache-2.0
//
// The table [health] of the configuration: its keys, and what must hold between them and
// the rest of the file.
#pragma once

#include "daemon/config/config.h"
#include "daemon/config/section.h"

namespace remora {

// Reports what is wrong with a key by itself.
Health read_health(const Section& section);

// Once everything was read: reports networks that are too small for the checks, or that
// hold an address which means something else. Silent when nothing is checked.
void check_health(const Config& config, Problems& problems);

}  // namespace remora
