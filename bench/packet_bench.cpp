// SPDX-License-Identifier: Apache-2.0
//
// Nanoseconds per packet of the whole packet path, also as a multiple of a floor and, given an
// object of upstream's Katran, of Katran alone. docs/performance.md describes what is measured
// and how.
//
// Every run is checked: if a packet took another path than its case intends, the counters show
// it, and the benchmark fails.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sched.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "bench/cases.h"
#include "bench/chain.h"
#include "bench/checks.h"
#include "bench/katran.h"
#include "bench/report.h"
#include "bench/runner.h"
#include "bench/targets.h"
#include "bench/two_cpus.h"

namespace remora::bench {
namespace {

constexpr std::uint64_t kTimedPackets = 131'072;
constexpr std::uint64_t kWarmPackets = 8'192;  // the least, and one unit of every flow
// Cases that write records run in slices that fit into the ring buffer.
constexpr std::uint64_t kLearningSlice = 16'384;
constexpr unsigned kManyFlowBits = 16;
// Katran keeps no connection that begins when more than 125 000 others did within a second on its
// CPU. So its SYNs come after a pause, and are fewer.
constexpr std::chrono::milliseconds kKatranPause{1100};
constexpr std::uint64_t kKatranSyns = 50'000;
static_assert(kKatranSyns + (1U << kManyFlowBits) < 125'000);

struct Samples {
  // `baseline_ns` was measured in the same round.
  void add(double per_packet, double baseline_ns) {
    ns.push_back(per_packet);
    baseline.push_back(baseline_ns);
    ratio.push_back(per_packet / baseline_ns);
  }
  Row row(std::string name, std::optional<double> goal) const {
    return {std::move(name), figure_of(ns), figure_of(baseline), figure_of(ratio), goal};
  }

  std::vector<double> ns, baseline, ratio;
};

// Competitors of the chain, given an object of Katran: Katran alone, and the stage followed by
// Katran.
struct Rivals {
  explicit Rivals(const std::string& object) : katran(object), behind_stage(katran) {}

  Katran katran;
  Chain behind_stage;
};

// A case of the comparison. Katran gets the same connections alone and after the stage.
struct Contest {
  Case behind_stage, alone;
  Samples chain, stage;
};

class Bench {
 public:
  // Runs only the cases with `part` in their names. `rivals` may be nullptr; otherwise it must
  // outlive this.
  Bench(unsigned flow_bits, const std::string& part, Rivals* rivals)
      : rivals_(rivals),
        floor_(make_floor(flow_bits)),
        targets_(floor_),
        cases_(make_cases(flow_bits)) {
    const auto unwanted = [&](const Case& it) { return it.name.find(part) == std::string::npos; };
    std::erase_if(cases_, unwanted);
    samples_.resize(cases_.size());
    contests_.resize(cases_.size());
  }

  // Creates the flows that the cases begin with.
  void prepare(Chain& chain, Runner& runner) {
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      if (rivals_ && cases_[i].against_katran) {
        Contest& contest = contests_[i].emplace();
        contest.behind_stage = cases_[i];
        if (cases_[i].start == Start::kNothing) {
          contest.alone = to_vip(syns_of(cases_[i]));
        } else {
          contest.alone = to_vip(cases_[i]);
          prepare_case(rivals_->behind_stage, runner, contest.behind_stage);
          introduce(runner, contest.alone);
        }
      }
      prepare_case(chain, runner, cases_[i]);
    }
  }

  // Runs one round: every case, the floor right before each, and Katran right after.
  void round(Chain& chain, Runner& runner) {
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      Case& it = cases_[i];
      const double floor_ns = measure_floor(runner);
      const double ns = measure(chain, runner, it) * it.unit;
      samples_[i].add(ns, floor_ns);
      if (!contests_[i]) continue;
      Contest& contest = *contests_[i];
      const bool begins = it.start == Start::kNothing;
      const double alone_ns =
          begins ? measure_syns(runner, contest.alone) : measure_alone(runner, contest.alone);
      contest.chain.add(ns, alone_ns);
      if (begins) continue;
      contest.stage.add(measure(rivals_->behind_stage, runner, contest.behind_stage), alone_ns);
    }
  }

  std::vector<Row> rows() const {
    std::vector<Row> rows;
    for (std::size_t i = 0; i < cases_.size(); ++i)
      rows.push_back(samples_[i].row(cases_[i].name, cases_[i].goal));
    return rows;
  }

  // The rows that compare with Katran alone.
  std::vector<Row> rival_rows() const {
    std::vector<Row> rows;
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      if (!contests_[i]) continue;
      const KatranGoals& goals = *cases_[i].against_katran;
      rows.push_back(contests_[i]->chain.row(cases_[i].name + ": chain", goals.chain));
      if (contests_[i]->stage.ns.empty()) continue;
      rows.push_back(
          contests_[i]->stage.row(cases_[i].name + ": stage, Katran", goals.behind_stage));
    }
    return rows;
  }

 private:
  static void prepare_case(Chain& chain, Runner& runner, Case& it) {
    const auto flows = static_cast<std::uint32_t>(it.flows());
    if (it.clients == Clients::kKnown) chain.predict(it.packets.first_client, flows, it.group);
    if (it.start == Start::kNothing) return;
    Case open = opening(it);
    checked_run(chain, runner, open, open.unit * flows);
    if (it.counted.empty()) return;
    // The first PUBLISH of a connection is judged, and its topic is learned.
    Case first = it;
    first.counted = {COUNT_PUBLISH, COUNT_JUDGED, COUNT_LEARNED};
    checked_run(chain, runner, first, flows);
    it.packets.next = first.packets.next;
  }

  // Sends packets of all connections until Katran knows them: above 125 000 new connections per
  // second it remembers none.
  void introduce(Runner& runner, Case& it) {
    constexpr int kPatience = 1000;
    for (int n = 0; n < kPatience; ++n) {
      const std::uint64_t before = rivals_->katran.misses();
      runner.run(rivals_->katran.entry_fd(), it.packets, it.frame, it.flows(), it.flows(), [] {});
      if (rivals_->katran.misses() == before) return;
    }
    fail(it, "Katran does not remember the connections");
  }

  static std::uint64_t warm_packets(const Case& of) {
    return std::max(kWarmPackets, of.unit * of.flows());
  }

  static std::uint64_t slice_of(const Case& of) {
    return counts(of, COUNT_LEARNED) ? kLearningSlice : kTimedPackets;
  }

  // The wrapper's own cost with this case's packets.
  double measure_wrapper(Runner& runner, const Case& of) {
    traffic packets = of.packets;
    const Outcome outcome =
        runner.run(targets_.empty_fd(), packets, of.frame, kTimedPackets, slice_of(of), [] {});
    if (outcome.verdict != XDP_PASS) fail(of, "the empty program did not run");
    return outcome.ns_per_packet;
  }

  double measure_floor(Runner& runner) {
    traffic packets = floor_.packets;
    const auto run = [&](std::uint64_t count) {
      return runner.run(targets_.floor_fd(), packets, floor_.frame, count, count, [] {});
    };
    run(warm_packets(floor_));
    const Outcome outcome = run(kTimedPackets);
    if (outcome.verdict != XDP_TX) fail(floor_, "a key was not found");
    return outcome.ns_per_packet - measure_wrapper(runner, floor_);
  }

  double measure_alone(Runner& runner, Case& it) {
    const Katran& katran = rivals_->katran;
    const double wrapper_ns = measure_wrapper(runner, it);
    const auto run = [&](std::uint64_t count) {
      const std::uint64_t packets = katran.packets_of(it.group), misses = katran.misses();
      const Outcome outcome =
          runner.run(katran.entry_fd(), it.packets, it.frame, count, count, [] {});
      if (katran.packets_of(it.group) - packets != count) fail(it, "Katran did not forward all");
      if (katran.misses() != misses) fail(it, "Katran did not know a connection");
      check_packet(it, outcome);
      return outcome.ns_per_packet;
    };
    run(warm_packets(it));
    return run(kTimedPackets) - wrapper_ns;
  }

  // The SYNs of new connections, few enough for Katran to keep them.
  double measure_syns(Runner& runner, Case& it) {
    const Katran& katran = rivals_->katran;
    const double wrapper_ns = measure_wrapper(runner, it);
    const auto run = [&](std::uint64_t count) {
      const std::uint64_t packets = katran.packets_of(it.group);
      const Outcome outcome =
          runner.run(katran.entry_fd(), it.packets, it.frame, count, count, [] {});
      if (katran.packets_of(it.group) - packets != count) fail(it, "Katran did not forward all");
      check_packet(it, outcome);
      return outcome.ns_per_packet;
    };
    std::this_thread::sleep_for(kKatranPause);
    run(warm_packets(it));
    return run(kKatranSyns) - wrapper_ns;
  }

  double measure(Chain& chain, Runner& runner, Case& it) {
    const double wrapper_ns = measure_wrapper(runner, it);
    if (it.expect == Expect::kPassed) chain.remove_forwarder();
    checked_run(chain, runner, it, warm_packets(it));
    const double ns = checked_run(chain, runner, it, kTimedPackets) - wrapper_ns;
    if (it.expect == Expect::kPassed) chain.insert_forwarder();
    if (it.start == Start::kNothing) chain.forget_half_open();
    return ns;
  }

  // Runs packets of a case through the chain and checks that each took the intended path.
  static double checked_run(Chain& chain, Runner& runner, Case& it, std::uint64_t packets) {
    const Counts before = chain.counts();
    const Outcome outcome = runner.run(chain.entry_fd(), it.packets, it.frame, packets,
                                       slice_of(it), [&] { chain.drain_events(); });
    check_counts(it, chain.counts() - before, packets);
    check_packet(it, outcome);
    return outcome.ns_per_packet;
  }

  Rivals* rivals_;
  Case floor_;
  Targets targets_;
  std::vector<Case> cases_;
  std::vector<Samples> samples_;                  // by case
  std::vector<std::optional<Contest>> contests_;  // by case
};

// Keeps per-CPU data in one cache.
void stay_on_this_cpu() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(sched_getcpu()), &set);
  sched_setaffinity(0, sizeof set, &set);
}

struct Wanted {
  std::string part;    // only cases whose names contain it
  std::string object;  // Katran's object; empty: none
  unsigned rounds;
  bool tells_progress;
};

std::vector<Row> operator+(std::vector<Row> rows, const std::vector<Row>& more) {
  rows.insert(rows.end(), more.begin(), more.end());
  return rows;
}

void tell(const Wanted& wanted, const std::string& progress) {
  if (wanted.tells_progress) std::cerr << '\r' << progress << "          " << std::flush;
}

// Gives each case its own tables, because their fill decides how much memory a look-up touches, and
// other cases' connections would change it.
std::vector<Row> compare_with_katran(Runner& runner, const Wanted& wanted) {
  std::vector<Row> rows;
  for (const unsigned flow_bits : {0u, kManyFlowBits}) {
    for (const Case& it : make_cases(flow_bits)) {
      if (!it.against_katran || it.name.find(wanted.part) == std::string::npos) continue;
      tell(wanted, it.name + " against Katran");
      Chain chain;
      Rivals rivals(wanted.object);
      Bench bench(flow_bits, it.name, &rivals);
      bench.prepare(chain, runner);
      for (unsigned i = 0; i < wanted.rounds; ++i) bench.round(chain, runner);
      rows = std::move(rows) + bench.rival_rows();
    }
  }
  return rows;
}

Report measure_all(Runner& runner, const Wanted& wanted) {
  Report report;
  report.machine = this_machine();
  {
    Chain chain;
    Bench one(0, wanted.part, nullptr), many(kManyFlowBits, wanted.part, nullptr);
    one.prepare(chain, runner);
    many.prepare(chain, runner);
    for (unsigned i = 0; i < wanted.rounds; ++i) {
      one.round(chain, runner);
      many.round(chain, runner);
      tell(wanted, "round " + std::to_string(i + 1) + " of " + std::to_string(wanted.rounds));
    }
    report.programs = chain.verifier_costs();
    report.rows = one.rows() + many.rows();
  }
  if (!wanted.object.empty()) report.against_katran = compare_with_katran(runner, wanted);
  report.on_two_cpus = measure_two_cpus(wanted.part, wanted.rounds);
  tell(wanted, "\n");
  return report;
}

int run(int argc, char** argv) {
  CLI::App app("Nanoseconds per packet of Remora's packet path");
  bool as_json = false;
  unsigned rounds = 15;
  std::string part, object;
  app.add_flag("--json", as_json, "JSON instead of a table");
  app.add_option("--rounds", rounds, "Interleaved rounds, of which the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--only", part, "Only cases whose names contain this");
  app.add_option("--katran", object, "An object of upstream's Katran, to be compared with")
      ->envname("REMORA_KATRAN_OBJ");
  CLI11_PARSE(app, argc, argv);
  if (geteuid() != 0) throw std::runtime_error("loading BPF programs needs root");

  stay_on_this_cpu();
  Runner runner;
  const Report report = measure_all(runner, {part, object, rounds, !as_json});
  (as_json ? print_json : print_table)(std::cout, report);
  return 0;
}

}  // namespace
}  // namespace remora::bench

int main(int argc, char** argv) {
  try {
    return remora::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "packet_bench: " << error.what() << '\n';
    return 1;
  }
}
