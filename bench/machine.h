// SPDX-License-Identifier: Apache-2.0
//
// The figures depend on more than the code: the CPU, the kernel, and the kernel's mitigations.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace remora::bench {

struct Machine {
  std::string cpu;  // its model's name
  unsigned cpus;
  std::string kernel;
  // Name and state of each vulnerability of this CPU, as /sys/devices/system/cpu tells them.
  std::vector<std::pair<std::string, std::string>> mitigations;
};

Machine this_machine();

}  // namespace remora::bench
