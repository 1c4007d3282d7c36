// SPDX-License-Identifier: Apache-2.0
//
// The table of clients in a map: programs change it on several CPUs while this process merges
// lessons through the mapping. Needs root.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <barrier>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <system_error>
#include <thread>

#include "bpf/table.h"
#include "daemon/kernel/mapped.h"
#include "table_ops.skel.h"
#include "tests/support/seeds.h"
#include "tests/table/model.h"

namespace remora {
namespace {

constexpr std::uint64_t kOperations = 400'000;  // of each of three runners

class KernelTable {
 public:
  KernelTable(std::uint32_t sets, std::mt19937_64& random) : object_(remora_table_ops::open()) {
    if (!object_) throw std::system_error(errno, std::generic_category(), "open the program");
    const table_seed seed = random_seed(random);
    bpf_map__set_max_entries(object_->maps.clients, sets);
    object_->rodata->sets = sets;
    std::memcpy(&object_->rodata->seed, &seed, sizeof seed);
    if (remora_table_ops::load(object_.get()) != 0)
      throw std::system_error(errno, std::generic_category(), "load the program");
    memory_.emplace(bpf_map__fd(object_->maps.clients), sets, "the table");
    view_.emplace(memory_->data(), sets, seed);
  }

  const TableView& view() const { return *view_; }

  // Runs the stream's operations as packets on this CPU.
  void run_as_packets(runner& stream, int cpu) const {
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(cpu, &only);
    if (sched_setaffinity(0, sizeof only, &only) != 0)
      throw std::system_error(errno, std::generic_category(), "stay on a CPU");
    constexpr __u64 kSlice = 10'000;
    while (stream.next < stream.end) {
      LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = &stream, .data_out = &stream,
                  .data_size_in = sizeof stream, .data_size_out = sizeof stream,
                  .repeat = static_cast<int>(std::min(kSlice, stream.end - stream.next)));
      if (bpf_prog_test_run_opts(bpf_program__fd(object_->progs.table_ops), &options) != 0)
        throw std::system_error(errno, std::generic_category(), "run the program");
    }
  }

 private:
  struct Destroy {
    void operator()(remora_table_ops* object) const { remora_table_ops::destroy(object); }
  };
  std::unique_ptr<remora_table_ops, Destroy> object_;
  std::optional<Mapped<table_set>> memory_;
  std::optional<TableView> view_;
};

class TableKernelTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
  }

  // Runs packets on two CPUs and the daemon; the last of the streams is the daemon's.
  static std::vector<runner> run_all(const KernelTable& table, std::uint32_t clients,
                                     std::uint32_t seed) {
    std::vector<runner> streams(3, runner{.next = 0,
                                          .end = kOperations,
                                          .stream = 0,
                                          .mixed = 0,
                                          .twice = 0,
                                          .refused = 0,
                                          .again = 0,
                                          .clients = clients,
                                          .counts = 1});
    for (std::uint64_t i = 0; i < streams.size(); ++i) streams[i].stream = seed * 3 + i;
    const int cpus = static_cast<int>(std::thread::hardware_concurrency());
    std::barrier together(3);
    const auto run_packets = [&](runner& stream, int cpu) {
      together.arrive_and_wait();
      table.run_as_packets(stream, cpu);
    };
    {
      std::jthread one(run_packets, std::ref(streams[0]), 0);
      std::jthread other(run_packets, std::ref(streams[1]), cpus > 1 ? 1 : 0);
      together.arrive_and_wait();
      run_as_daemon(streams[2], table.view());
    }
    for (const runner& stream : streams) {
      EXPECT_EQ(stream.next, kOperations);
      EXPECT_EQ(stream.mixed, 0u);
      EXPECT_EQ(stream.twice, 0u);
    }
    return streams;
  }
};

TEST_F(TableKernelTest, NothingIsLostWhereThereIsRoom) {
  const auto [first, rounds] = seeds(2);
  for (std::uint32_t seed = first; seed < first + rounds; ++seed) {
    SCOPED_TRACE(again(seed));
    std::mt19937_64 random(seed);
    const KernelTable table(table_sets(100), random);

    const std::vector<runner> streams = run_all(table, 12, seed);

    expect_whole(table.view());
    expect_all_done(table.view(), streams);
    if (testing::Test::HasFailure()) return;
  }
}

TEST_F(TableKernelTest, NoEntryMixesTwoClients) {
  const auto [first, rounds] = seeds(2);
  for (std::uint32_t seed = first; seed < first + rounds; ++seed) {
    SCOPED_TRACE(again(seed));
    std::mt19937_64 random(seed);
    const KernelTable table(2, random);

    run_all(table, 40, seed);

    expect_whole(table.view());
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace remora
