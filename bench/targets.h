// SPDX-License-Identifier: Apache-2.0
//
// The packet path is compared with these programs (targets.bpf.c): the floor, and an empty program.
#pragma once

#include "bench/cases.h"

struct remora_targets;

namespace remora::bench {

// The floor's table has one key per flow and as much room as the packet path's: a larger table
// touches more memory.
class Targets {
 public:
  // Throws if a program cannot be loaded.
  explicit Targets(const Case& floor);
  ~Targets();
  Targets(const Targets&) = delete;
  Targets& operator=(const Targets&) = delete;

  int empty_fd() const;
  int floor_fd() const;

 private:
  remora_targets* object_;
};

}  // namespace remora::bench
