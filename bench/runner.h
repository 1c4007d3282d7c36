// SPDX-License-Identifier: Apache-2.0
//
// Runs traffic against an XDP program with BPF_PROG_TEST_RUN, behind the
// wrapper (wrapper.bpf.c), and takes the time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "bench/frames.h"
#include "bench/traffic.h"

namespace remora::bench {

struct Outcome {
  double ns_per_packet = 0;  // with the wrapper's own cost
  // Of the last packet:
  std::uint32_t verdict = 0;
  Bytes packet;
};

class Runner {
 public:
  Runner();
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // Sends `packets` of `traffic` to the program, beginning with number
  // `traffic.next`, which it advances; in slices of at most `slice`, after each
  // of which `pause` is called. Time is that of this thread's CPU alone, so that what else runs on
  // the machine counts little. Throws when a packet could not be restored.
  Outcome run(int program_fd, traffic& traffic, const Bytes& frame, std::uint64_t packets,
              std::uint64_t slice, const std::function<void()>& pause);

 private:
  struct Object;
  std::unique_ptr<Object> object_;
};

}  // namespace remora::bench
