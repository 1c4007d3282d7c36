// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace remora {

// A topic filter (MQTT 5.0 §4.7) and the name of the group to which its topics belong.
struct Route {
  std::string filter;
  std::string group;
  std::uint32_t line = 0;  // of the configuration file; 0: unknown
};

}  // namespace remora
