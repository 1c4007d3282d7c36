// SPDX-License-Identifier: Apache-2.0
//
// Nanoseconds per look-up and per insertion of a client: in a hash of the kernel that evicts the
// least recently used entry, and in a set-associative table, on one CPU and on two at once.
//
// Every operation is checked: the last one of a run must have had the intended result, and the
// table must hold what was put in.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sched.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <barrier>
#include <bit>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <functional>
#include <iostream>
#include <memory>
#include <random>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

#include "bench/report.h"
#include "bench/tables.h"
#include "bpf/table.h"
#include "tables.skel.h"

namespace remora::bench {
namespace {

constexpr int kVerdictOk = 0;                  // TC_ACT_OK, and the group of every client
constexpr std::uint32_t kFlood = 0x0100'0000;  // addresses beyond those of known clients
constexpr __u32 kOperations = 1 << 17;

double thread_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

void stay_on(int cpu) {
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(cpu, &only);
  if (sched_setaffinity(0, sizeof only, &only) != 0)
    throw std::system_error(errno, std::generic_category(), "stay on a CPU");
}

// Tables with room for so many clients.
class Tables {
 public:
  explicit Tables(std::uint32_t clients) : object_(remora_tables::open()) {
    if (!object_) throw std::system_error(errno, std::generic_category(), "open the programs");
    const std::uint32_t sets = table_sets(clients);
    bpf_map__set_max_entries(object_->maps.hashed, clients);
    bpf_map__set_max_entries(object_->maps.sets, sets);
    object_->rodata->sets_in_all = sets;
    if (remora_tables::load(object_.get()) != 0)
      throw std::system_error(errno, std::generic_category(), "load the programs");
    std::mt19937_64 random(1);
    table_seed seed{};
    for (auto& word : seed.word) word = random();
    const std::uint32_t zero = 0;
    if (bpf_map__update_elem(object_->maps.seeds, &zero, sizeof zero, &seed, sizeof seed, BPF_ANY))
      throw std::system_error(errno, std::generic_category(), "write the seed");
  }

  remora_tables& programs() const { return *object_; }

 private:
  struct Destroy {
    void operator()(remora_tables* object) const { remora_tables::destroy(object); }
  };
  std::unique_ptr<remora_tables, Destroy> object_;
};

// Runs the program and returns ns per run.
double run(const bpf_program* program, table_run& frame, __u32 count) {
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = options.data_out = &frame;
  options.data_size_in = options.data_size_out = sizeof frame;
  options.repeat = static_cast<int>(count);
  const double before = thread_ns();
  if (bpf_prog_test_run_opts(bpf_program__fd(program), &options) != 0)
    throw std::system_error(errno, std::generic_category(), "run a program");
  const double ns = (thread_ns() - before) / count;
  if (static_cast<int>(options.retval) != kVerdictOk && program)
    throw std::runtime_error(std::string(bpf_program__name(program)) + " did not do its work");
  return ns;
}

struct Task {
  const char* name;
  const bpf_program* program;
  bool is_flood;
};

// Ns per operation on each of `cpus` CPUs at once, without the cost of making the keys.
double measure(const Tables& tables, const Task& task, std::uint32_t clients, int cpus,
               std::array<table_run, 2>& frames) {
  std::array<double, 2> ns{};
  std::barrier together(cpus);
  const auto work = [&](int cpu) {
    stay_on(cpu);
    table_run& frame = frames[static_cast<std::size_t>(cpu)];
    frame.clients = task.is_flood ? 0 : clients;
    frame.above = task.is_flood ? kFlood + static_cast<std::uint32_t>(cpu) : 0;
    table_run idle = frame;
    idle.clients = 2;  // the last of an odd number of runs then returns kVerdictOk
    idle.next = 0;
    const double base = run(tables.programs().progs.bench_nothing, idle, kOperations | 1);
    together.arrive_and_wait();
    ns[static_cast<std::size_t>(cpu)] = run(task.program, frame, kOperations) - base;
  };
  {
    std::vector<std::jthread> others;
    for (int cpu = 1; cpu < cpus; ++cpu) others.emplace_back(work, cpu);
    work(0);
  }
  double sum = 0;
  for (int cpu = 0; cpu < cpus; ++cpu) sum += ns[static_cast<std::size_t>(cpu)];
  return sum / cpus;
}

void measure_all(std::uint32_t clients, unsigned rounds) {
  const Tables tables(clients);
  const auto& progs = tables.programs().progs;
  // Insert every client once, so that each look-up finds one.
  table_run all{.next = 0, .clients = std::bit_floor(clients), .above = 0};
  table_run again = all;
  for (std::uint32_t done = 0; done < all.clients; done += std::min(all.clients, kOperations)) {
    run(progs.bench_hash_insert, all, std::min(all.clients, kOperations));
    run(progs.bench_table_insert, again, std::min(all.clients, kOperations));
  }
  const std::array<Task, 4> tasks = {{{"look-up, hash of the kernel", progs.bench_hash_find, false},
                                      {"look-up, set-associative", progs.bench_table_find, false},
                                      {"flood, hash of the kernel", progs.bench_hash_insert, true},
                                      {"flood, set-associative", progs.bench_table_insert, true}}};
  std::printf("%u clients\n", clients);
  std::array<table_run, 2> frames{};
  frames[1].next = clients / 3;
  for (const Task& task : tasks) {
    std::vector<double> one, two;
    for (unsigned i = 0; i < rounds; ++i) {
      one.push_back(measure(tables, task, all.clients, 1, frames));
      two.push_back(measure(tables, task, all.clients, 2, frames));
    }
    const double alone = figure_of(one).median, both = figure_of(two).median;
    std::printf("  %-32s %7.1f ns  on two CPUs %7.1f ns  scaling %.2f\n", task.name, alone, both,
                alone / both);
    std::fflush(stdout);
  }
}

int run(int argc, char** argv) {
  CLI::App app("Nanoseconds per look-up and insertion of a client");
  std::vector<std::uint32_t> sizes = {1 << 16, 1 << 20};
  unsigned rounds = 15;
  app.add_option("--clients", sizes, "Sizes of the tables")->capture_default_str();
  app.add_option("--rounds", rounds, "Rounds, of which the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (geteuid() != 0) throw std::runtime_error("loading BPF programs needs root");
  if (std::thread::hardware_concurrency() < 2) throw std::runtime_error("needs two CPUs");
  for (const std::uint32_t clients : sizes) measure_all(clients, rounds);
  return 0;
}

}  // namespace
}  // namespace remora::bench

int main(int argc, char** argv) {
  try {
    return remora::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "table_bench: " << error.what() << '\n';
    return 1;
  }
}
