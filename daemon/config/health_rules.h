// SPDX-License-Identifier: Apache-2.0
//
// Rules for the keys of [health], among themselves and with the rest of the file.
#pragma once

#include "daemon/config/config.h"
#include "daemon/config/section.h"

namespace remora {

// Reports keys of `section`, read into `health`, that contradict each other.
void check_health_keys(const Section& section, const Health& health);

// Call this once everything has been read: reports networks that are too small for the checks, or
// that contain an address with another meaning. Reports nothing if nothing is checked.
void check_health(const Config& config, Problems& problems);

}  // namespace remora
