// SPDX-License-Identifier: Apache-2.0
//
// Runs traffic against an XDP program with BPF_PROG_TEST_RUN, after the wrapper
// (wrapper.bpf.c), and measures the time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "bench/frames.h"
#include "bench/traffic.h"

namespace remora::bench {

struct Outcome {
  double ns_per_packet = 0;  // including the wrapper's own cost
  // The result of the last packet:
  std::uint32_t verdict = 0;
  Bytes packet;
};

class Runner {
 public:
  Runner();
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // Sends `packets` of `traffic` to the program, beginning with number `traffic.next`, which it
  // advances. Calls `pause` after each slice of at most `slice` packets. The time is this
  // thread's CPU time, so other load on the machine matters little. Throws if a packet could not
  // be restored.
  Outcome run(int program_fd, traffic& traffic, const Bytes& frame, std::uint64_t packets,
              std::uint64_t slice, const std::function<void()>& pause);

 private:
  struct Object;
  std::unique_ptr<Object> object_;
};

}  // namespace remora::bench
