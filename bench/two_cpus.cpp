// SPDX-License-Identifier: Apache-2.0
#include "bench/two_cpus.h"

#include <sched.h>

#include <array>
#include <barrier>
#include <cerrno>
#include <exception>
#include <functional>
#include <memory>
#include <system_error>
#include <thread>

#include "bench/cases.h"
#include "bench/chain.h"
#include "bench/checks.h"
#include "bench/runner.h"
#include "bench/targets.h"

namespace remora::bench {
namespace {

constexpr std::size_t kCpus = 2;
constexpr std::uint64_t kPackets = 131'072;  // of each CPU, timed
constexpr std::uint64_t kNetworks = 0x100;   // between the clients of the CPUs: /16 each
constexpr unsigned kFlowBits = 16;
constexpr std::uint64_t kSlice = 16'384;  // fits into the ring buffer

void stay_on(std::size_t cpu) {
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(cpu, &only);
  if (sched_setaffinity(0, sizeof only, &only) != 0)
    throw std::system_error(errno, std::generic_category(), "stay on a CPU");
}

// Runs `work(cpu)` on each CPU; throws what one of them threw.
void on_each_cpu(const std::function<void(std::size_t)>& work) {
  std::array<std::exception_ptr, kCpus> errors;
  {
    std::array<std::jthread, kCpus> threads;
    for (std::size_t cpu = 0; cpu < kCpus; ++cpu) {
      threads[cpu] = std::jthread([&work, &errors, cpu] {
        try {
          stay_on(cpu);
          work(cpu);
        } catch (...) {
          errors[cpu] = std::current_exception();
        }
      });
    }
  }
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

// One case: the same packets on each CPU, of other clients.
class Pair {
 public:
  Pair(const Case& of, std::array<std::unique_ptr<Runner>, kCpus>& runners, const Targets& targets)
      : runners_(runners), targets_(targets) {
    for (std::size_t cpu = 0; cpu < kCpus; ++cpu) {
      cases_[cpu] = of;
      cases_[cpu].packets.first_client += static_cast<std::uint32_t>(cpu * kNetworks << 16);
    }
  }

  std::array<Case, kCpus>& cases() { return cases_; }

  // Nanoseconds per packet of the program: on the first CPU alone, or the mean of both at once.
  double alone(int program_fd) { return run(program_fd, 0) - wrapper_ns(0); }
  double together(int program_fd) {
    std::array<double, kCpus> ns{};
    std::barrier both(kCpus);
    on_each_cpu([&](std::size_t cpu) {
      const double wrapper = wrapper_ns(cpu);
      warm(program_fd, cpu);
      both.arrive_and_wait();
      ns[cpu] = timed(program_fd, cpu) - wrapper;
      both.arrive_and_wait();
    });
    return (ns[0] + ns[1]) / kCpus;
  }

 private:
  double wrapper_ns(std::size_t cpu) {
    traffic packets = cases_[cpu].packets;
    return runners_[cpu]
        ->run(targets_.empty_fd(), packets, cases_[cpu].frame, kPackets, kPackets, [] {})
        .ns_per_packet;
  }
  void warm(int program_fd, std::size_t cpu) {
    Case& it = cases_[cpu];
    const std::uint64_t packets = it.unit * it.flows();
    runners_[cpu]->run(program_fd, it.packets, it.frame, packets, packets, [] {});
  }
  double timed(int program_fd, std::size_t cpu) {
    Case& it = cases_[cpu];
    return runners_[cpu]
        ->run(program_fd, it.packets, it.frame, kPackets, kPackets, [] {})
        .ns_per_packet;
  }
  double run(int program_fd, std::size_t cpu) {
    double ns = 0;
    std::exception_ptr error;
    std::jthread([&] {
      try {
        stay_on(cpu);
        warm(program_fd, cpu);
        ns = timed(program_fd, cpu);
      } catch (...) {
        error = std::current_exception();
      }
    }).join();
    if (error) std::rethrow_exception(error);
    return ns;
  }

  std::array<Case, kCpus> cases_;
  std::array<std::unique_ptr<Runner>, kCpus>& runners_;
  const Targets& targets_;
};

bool is_wanted(const Case& it, const std::string& part) {
  const bool scales = it.start == Start::kNothing || it.name.starts_with("ack") ||
                      it.name.starts_with("publish 100, topic 24");
  return scales && it.expect == Expect::kForwarded && it.name.find(part) != std::string::npos;
}

ScalingRow measure(const Case& of, std::array<std::unique_ptr<Runner>, kCpus>& runners,
                   const Case& floor, const Targets& targets, unsigned rounds) {
  Chain chain;
  Pair pair(of, runners, targets), floors(floor, runners, targets);
  for (Case& it : floors.cases()) it.packets.first_client = floor.packets.first_client;
  for (std::size_t cpu = 0; cpu < kCpus; ++cpu) {
    Case& it = pair.cases()[cpu];
    const auto flows = static_cast<std::uint32_t>(it.flows());
    if (it.clients == Clients::kKnown) chain.predict(it.packets.first_client, flows, it.group);
    if (it.start == Start::kNothing) continue;
    Case open = opening(it);
    Case first = it;
    const auto run = [&](Case& now) {
      runners[cpu]->run(chain.entry_fd(), now.packets, now.frame, now.unit * flows, kSlice,
                        [&] { chain.drain_events(); });
    };
    run(open);
    if (it.counted.empty()) continue;
    run(first);  // judged and learned
    it.packets.next = first.packets.next;
  }
  std::vector<double> one, two, factors, floor_factors;
  for (unsigned i = 0; i < rounds; ++i) {
    const double floor_one = floors.alone(targets.floor_fd());
    const double floor_two = floors.together(targets.floor_fd());
    const double alone = pair.alone(chain.entry_fd());
    const Counts before = chain.counts();
    const double together = pair.together(chain.entry_fd());
    check_counts(of, chain.counts() - before, kCpus * (kPackets + of.unit * of.flows()));
    if (of.start == Start::kNothing) chain.forget_half_open();
    one.push_back(alone * of.unit);
    two.push_back(together * of.unit);
    factors.push_back(kCpus * alone / together);
    floor_factors.push_back(kCpus * floor_one / floor_two);
  }
  return {of.name, figure_of(one).median, figure_of(two).median, figure_of(factors).median,
          figure_of(floor_factors).median};
}

}  // namespace

std::vector<ScalingRow> measure_two_cpus(const std::string& part, unsigned rounds) {
  std::vector<ScalingRow> rows;
  if (std::thread::hardware_concurrency() < kCpus) return rows;
  const Case floor = make_floor(kFlowBits);
  const Targets targets(floor);
  std::array<std::unique_ptr<Runner>, kCpus> runners;
  for (auto& runner : runners) runner = std::make_unique<Runner>();
  for (const Case& it : make_cases(kFlowBits))
    if (is_wanted(it, part)) rows.push_back(measure(it, runners, floor, targets, rounds));
  return rows;
}

}  // namespace remora::bench
