// SPDX-License-Identifier: Apache-2.0
#include "bench/runner.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <stdexcept>
#include <system_error>

#include "wrapper.skel.h"

namespace remora::bench {
namespace {

constexpr std::size_t kMostGrowth = 64;  // bytes

double thread_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

}  // namespace

struct Runner::Object {
  Object() : wrapper(remora_wrapper::open_and_load()) {
    if (!wrapper) throw std::system_error(errno, std::generic_category(), "load the wrapper");
    hold_dispatcher();
  }
  ~Object() { remora_wrapper::destroy(wrapper); }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  // A run with a repeat count enters its program into the kernel's XDP dispatcher and takes it out
  // again, which lasts two grace periods of RCU, unless the program is there already. So it is
  // attached to the loopback device of a network namespace of this process.
  void hold_dispatcher() {
    if (unshare(CLONE_NEWNET) ||
        bpf_xdp_attach(static_cast<int>(if_nametoindex("lo")),
                       bpf_program__fd(wrapper->progs.bench_wrapper), XDP_FLAGS_SKB_MODE, nullptr))
      throw std::system_error(errno, std::generic_category(), "attach the wrapper");
  }

  remora_wrapper* wrapper;
};

Runner::Runner() : object_(std::make_unique<Object>()) {}
Runner::~Runner() = default;

Outcome Runner::run(int program_fd, traffic& traffic, const Bytes& frame, std::uint64_t packets,
                    std::uint64_t slice, const std::function<void()>& pause) {
  remora_wrapper* wrapper = object_->wrapper;
  const std::uint32_t slot = 0;
  if (bpf_map__update_elem(wrapper->maps.target, &slot, sizeof slot, &program_fd, sizeof program_fd,
                           BPF_ANY))
    throw std::system_error(errno, std::generic_category(), "put a program behind the wrapper");

  Outcome outcome;
  double spent_ns = 0;
  wrapper->bss->traffic = traffic;
  for (std::uint64_t left = packets; left > 0;) {
    const std::uint64_t now = std::min(left, slice);
    outcome.packet.resize(frame.size() + kMostGrowth);
    bpf_test_run_opts options{};
    options.sz = sizeof options;
    options.data_in = frame.data();
    options.data_size_in = static_cast<std::uint32_t>(frame.size());
    options.data_out = outcome.packet.data();
    options.data_size_out = static_cast<std::uint32_t>(outcome.packet.size());
    options.repeat = static_cast<int>(now);

    const double begin_ns = thread_ns();
    const int result =
        bpf_prog_test_run_opts(bpf_program__fd(wrapper->progs.bench_wrapper), &options);
    spent_ns += thread_ns() - begin_ns;
    if (result) throw std::system_error(-result, std::generic_category(), "BPF_PROG_TEST_RUN");

    outcome.verdict = options.retval;
    outcome.packet.resize(options.data_size_out);
    left -= now;
    pause();
  }
  traffic = wrapper->bss->traffic;
  if (traffic.broken) throw std::runtime_error("the wrapper could not restore a packet");
  outcome.ns_per_packet = spent_ns / static_cast<double>(packets);
  return outcome;
}

}  // namespace remora::bench
