// SPDX-License-Identifier: Apache-2.0
//
// What must hold between the keys of [health], and between them and the rest of the file.
#pragma once

#include "daemon/config/config.h"
#include "daemon/config/section.h"

namespace remora {

// Reports keys of `section`, read into `health`, that contradict each other.
void check_health_keys(const Section& section, const Health& health);

// Once everything was read: reports networks that are too small for the checks, or that
// hold an address which means something else. Silent when nothing is checked.
void check_health(const Config& config, Problems& problems);

}  // namespace remora
