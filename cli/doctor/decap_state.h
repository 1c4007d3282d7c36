// SPDX-License-Identifier: Apache-2.0
//
// The packets that a decap program on an interface accepts, read from its maps. Changes nothing;
// needs root.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cli/decap_config.h"
#include "cli/service_at.h"
#include "daemon/base/prefix.h"

namespace remora::doctor {

struct DecapState {
  std::vector<DecapVip> vips;
  // Only packets to these services pass. No value: the program is of version 0.1, which lets
  // packets to any address pass.
  std::optional<std::vector<ServiceAt>> services;
  std::vector<Prefix> from;  // outer sources that may send; empty: any
  // Packets dropped since the program was attached.
  std::uint64_t no_service = 0;
  std::uint64_t foreign_source = 0;
};

// Reads the maps of the program. Throws std::system_error.
DecapState decap_in_force(std::uint32_t program_id);

}  // namespace remora::doctor
