// SPDX-License-Identifier: Apache-2.0
//
// The line that `systemctl status` shows of a running remorad (STATUS= of sd_notify(3)). Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace remora {

struct UnitFacts {
  bool is_shadow = false;
  std::uint64_t flows = 0;
  std::string config_at;     // when the configuration in force was read: "12:04"
  bool was_refused = false;  // the last reload
  std::size_t dead_reals = 0;
  std::vector<std::string> problems;  // of link and attachment; empty texts are none
};

// "1204 flows, config of 12:04 in force, 1 real dead"; problems come first.
std::string unit_status(const UnitFacts& facts);

}  // namespace remora
