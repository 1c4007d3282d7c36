// SPDX-License-Identifier: Apache-2.0
//
// A start whose predecessor was another version or was killed. Runs in a network namespace and a
// bpffs folder of the test's own; needs root.
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "daemon/kernel/maps.h"
#include "daemon/kernel/programs.h"
#include "tests/kernel/kernel_maps.h"
#include "tests/support/abi_4_pins.h"

namespace remora {
namespace {

namespace fs = std::filesystem;

constexpr __u32 kOnly = 0;
constexpr unsigned kLoopback = 1;  // takes generic XDP
constexpr std::uint32_t kFlows = 1000;

// Not so many that sets are full.
constexpr std::uint32_t kClients = 500;

client_key numbered_client(std::uint32_t number) {
  return {numbered_key(number).client, 0, 0};
}

const half_open_key kHalfOpen{numbered_key(5), 77};
const drain_key kDrain{{{0, 0, 0xffff, 1}}, 3, 0};

name_key named(const char* name) {
  name_key key{};
  key.kind = NAME_GROUP;
  std::strncpy(key.name, name, sizeof(key.name) - 1);
  return key;
}

class UpgradeTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    ASSERT_EQ(if_nametoindex("lo"), kLoopback);
    folder_ = pin_folder("/sys/fs/bpf", "test-upgrade-" + std::to_string(getpid()));
    config_.lb.interface = "lo";
    config_.lb.xdp_mode = XdpMode::kGeneric;
    config_.limits.clients = config_.limits.flows = kFlows;
    config_.limits.half_open = 1024;
    config_.limits.events_kib = 64;
  }

  void TearDown() override {
    if (!folder_.empty()) Programs::detach(folder_, kLoopback);
  }

  std::unique_ptr<Programs> load() const { return load(config_); }
  std::unique_ptr<Programs> load(const Config& config) const {
    return std::make_unique<Programs>(config, folder_, kLoopback);
  }
  static void attach(Programs& programs) { programs.attach(programs.program(kForwardProgram)); }

  // Runs a remorad that learns something and ends.
  void run_predecessor() const {
    const auto programs = load();
    const Maps maps(*programs);
    attach(*programs);
    topic_keys keys{};
    std::mt19937_64 random(1);
    for (__u64& word : keys.word) word = random();
    keys.start[0] = 4711;
    maps.topic_keys.put(kOnly, keys);
    for (std::uint32_t i = 0; i < kFlows; ++i) {
      flow entry = numbered_flow(i);
      entry.real = static_cast<__u16>(i);
      entry.flags = FLOW_TAUGHT | FLOW_PROVEN;
      entry.stream.flags = STREAM_MQTT5;
      ASSERT_TRUE(maps.flows.put(numbered_key(i), entry));
    }
    ASSERT_TRUE(maps.flows.erase(numbered_key(9)));
    flow half{};
    half.state = FLOW_HALF_OPEN;
    half.isn = kHalfOpen.isn;
    maps.half_open.put(kHalfOpen, half);
    maps.names.put(named("warm"), 17);
    maps.drains.put(kDrain, 1);
    maps.deaths.put(kDrain, 1);
    for (std::uint32_t i = 0; i < kClients; ++i)
      maps.predictions.put(numbered_client(i),
                           {.topic_hash = 5, .time = 6, .group = 3, .flags = 1});
  }

  static void expect_flows(const Programs& programs) {
    const FlowTable flows(programs.flow_table());
    for (std::uint32_t i = 0; i < kFlows; ++i) {
      const auto found = flows.find(numbered_key(i));
      ASSERT_EQ(found.has_value(), i != 9) << i;
      if (!found) continue;
      ASSERT_EQ(found->isn, i);
      ASSERT_EQ(found->real, i);
      ASSERT_EQ(found->flags, FLOW_TAUGHT | FLOW_PROVEN);
      ASSERT_EQ(found->stream.flags, STREAM_MQTT5);
    }
    EXPECT_TRUE(flows.put(numbered_key(9), numbered_flow(9)));
    EXPECT_FALSE(flows.put(numbered_key(kFlows), numbered_flow(kFlows))) << "full";
  }

  static void expect_clients(const Programs& programs) {
    const ClientTable clients = Maps(programs).predictions;
    for (std::uint32_t i = 0; i < kClients; ++i) {
      const auto known = clients.find(numbered_client(i));
      ASSERT_TRUE(known) << i;
      EXPECT_EQ(known->topic_hash, 5U);
      EXPECT_EQ(known->group, 3);
    }
  }

  // Each flow is one connection of its client.
  static void expect_connections(const Programs& programs) {
    const ClientTable clients = Maps(programs).predictions;
    for (const std::uint32_t number : {0U, 1U, kFlows - 1}) {
      const flow_key key = numbered_key(number);
      const auto entry = clients.entry({key.client, key.service, 0});
      ASSERT_TRUE(entry) << number;
      EXPECT_EQ(entry->connections, 1U) << number;
    }
  }

  static void expect_what_lasts(const Programs& programs) {
    const Maps maps(programs);
    EXPECT_EQ(maps.names.find(named("warm")), 17U);
    EXPECT_TRUE(maps.drains.find(kDrain));
    EXPECT_TRUE(maps.deaths.find(kDrain));
    EXPECT_EQ(maps.topic_keys.find(kOnly)->start[0], 4711U);
  }

  std::uint32_t pinned_abi() const {
    settings now{};
    const Fd fd(bpf_obj_get((folder_ / "settings").c_str()));
    EXPECT_EQ(bpf_map_lookup_elem(fd.get(), &kOnly, &now), 0);
    return now.abi;
  }
  void set_pinned_abi(std::uint32_t abi) const {
    settings now{};
    const Fd fd(bpf_obj_get((folder_ / "settings").c_str()));
    ASSERT_EQ(bpf_map_lookup_elem(fd.get(), &kOnly, &now), 0);
    now.abi = abi;
    ASSERT_EQ(bpf_map_update_elem(fd.get(), &kOnly, &now, BPF_ANY), 0);
  }

  std::uint32_t pinned_id(const char* map) const {
    return map_info(Fd(bpf_obj_get((folder_ / map).c_str())).get()).id;
  }

  bool is_pinned(const fs::path& pin) const { return fs::exists(folder_ / pin); }

  fs::path folder_;
  Config config_;
};

TEST_F(UpgradeTest, FromAbi4NothingIsLost) {
  run_predecessor();
  downgrade_to_abi_4(folder_);
  const std::uint32_t drains = pinned_id("drains"), names = pinned_id("names");

  const auto programs = load();
  attach(*programs);

  expect_flows(*programs);
  expect_what_lasts(*programs);
  EXPECT_EQ(Maps(*programs).half_open.find(kHalfOpen)->isn, kHalfOpen.isn);
  EXPECT_FALSE(programs->is_fresh("half_open"));
  expect_clients(*programs);
  expect_connections(*programs);
  EXPECT_FALSE(programs->is_fresh("predictions"));
  EXPECT_EQ(pinned_id("drains"), drains) << "did not change, so it is the same map";
  EXPECT_EQ(pinned_id("names"), names);
  EXPECT_EQ(pinned_abi(), std::uint32_t{REMORA_ABI});
  EXPECT_FALSE(is_pinned("next"));
}

TEST_F(UpgradeTest, TheNextStartTakesOverWhatTheUpgradeMade) {
  run_predecessor();
  downgrade_to_abi_4(folder_);
  attach(*load());
  const std::uint32_t flows = pinned_id("flows");

  const auto programs = load();
  attach(*programs);

  expect_flows(*programs);
  EXPECT_EQ(pinned_id("flows"), flows);
}

TEST_F(UpgradeTest, ATableMayChangeItsSizeAtTheSameTime) {
  run_predecessor();
  downgrade_to_abi_4(folder_);
  Config larger = config_;
  larger.limits.flows = 3 * kFlows;
  larger.limits.clients = 3 * kFlows;

  const auto programs = load(larger);
  attach(*programs);

  const FlowTable flows(programs->flow_table());
  EXPECT_EQ(flows.find(numbered_key(kFlows - 1))->isn, kFlows - 1);
  EXPECT_TRUE(flows.put(numbered_key(kFlows), numbered_flow(kFlows)));
  expect_clients(*programs);
}

TEST_F(UpgradeTest, MapsThatAreNoLongerThereLoseTheirPins) {
  run_predecessor();
  downgrade_to_abi_4(folder_);
  const Fd gone = make_map(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 100, 1);
  ASSERT_EQ(bpf_obj_pin(gone.get(), (folder_ / "answerings").c_str()), 0);

  const auto programs = load();
  EXPECT_TRUE(is_pinned("answerings"));
  attach(*programs);

  EXPECT_FALSE(is_pinned("answerings"));
}

// Reads the records of the old programs, also those written until the new ones are attached.
TEST_F(UpgradeTest, RecordsOfTheFormerRingAreRead) {
  run_predecessor();
  downgrade_to_abi_4(folder_);
  const Fd ring(bpf_obj_get((folder_ / "events").c_str()));
  abi4::event record{};
  record.action = ACTION_LEARNED;
  record.seq = 1;
  write_record(ring.get(), std::as_bytes(std::span(&record, 1)));
  std::vector<std::uint32_t> seen;
  const auto take = [&](EntryView bytes) {
    event head;
    ASSERT_EQ(bytes.size(), sizeof(head));
    std::memcpy(&head, bytes.data(), sizeof(head));
    EXPECT_EQ(head.action, ACTION_LEARNED);
    seen.push_back(head.seq);
  };

  const auto programs = load();
  ASSERT_NE(programs->former_ring(), nullptr);
  programs->former_ring()->drain(take);
  EXPECT_EQ(seen, std::vector{1U});

  record.seq = 2;
  write_record(ring.get(), std::as_bytes(std::span(&record, 1)));
  attach(*programs);
  programs->former_ring()->drain(take);
  EXPECT_EQ(seen, (std::vector{1U, 2U}));
  EXPECT_EQ(load()->former_ring(), nullptr);
}

TEST_F(UpgradeTest, AStartThatFailsLeavesThePinsAsTheyWere) {
  run_predecessor();
  downgrade_to_abi_4(folder_);
  const std::uint32_t flows = pinned_id("flows"), half_open = pinned_id("half_open");

  load();  // and never attached

  EXPECT_EQ(pinned_id("flows"), flows);
  EXPECT_EQ(pinned_id("half_open"), half_open);
  EXPECT_EQ(pinned_abi(), abi4::kAbi);
  EXPECT_FALSE(is_pinned("next"));
}

TEST_F(UpgradeTest, AStartThatIsKilledLeavesThePinsAsTheyWere) {
  run_predecessor();
  downgrade_to_abi_4(folder_);
  if (const pid_t child = fork(); child == 0) {
    load().release();
    _exit(0);  // without any clean-up
  } else {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
  }
  ASSERT_TRUE(is_pinned("next/flows"));
  EXPECT_EQ(pinned_abi(), abi4::kAbi);

  const auto programs = load();
  attach(*programs);

  expect_flows(*programs);
  EXPECT_FALSE(is_pinned("next"));
}

// The new programs use the new maps already, so the old ones are out of date.
TEST_F(UpgradeTest, AStartThatIsKilledAfterItsProgramsAreAttachedIsCompleted) {
  run_predecessor();
  const std::uint32_t flows = pinned_id("flows");
  fs::create_directories(folder_ / "next" / ("abi_" + std::to_string(REMORA_ABI)));
  fs::rename(folder_ / "flows", folder_ / "next" / "flows");
  const Fd old = make_map(BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(abi4::flow_place), kFlows + 1,
                          BPF_F_MMAPABLE);
  ASSERT_EQ(bpf_obj_pin(old.get(), (folder_ / "flows").c_str()), 0);
  set_pinned_abi(abi4::kAbi);

  const auto programs = load();
  attach(*programs);

  EXPECT_EQ(pinned_id("flows"), flows);
  expect_flows(*programs);
  EXPECT_EQ(pinned_abi(), std::uint32_t{REMORA_ABI});
  EXPECT_FALSE(is_pinned("next"));
}

TEST_F(UpgradeTest, FromAnUnknownAbiWhatLastsIsKept) {
  for (const std::uint32_t unknown : {0U, 3U, REMORA_ABI + 1U}) {
    SCOPED_TRACE(unknown);
    run_predecessor();
    set_pinned_abi(unknown);

    const auto programs = load();
    attach(*programs);

    expect_what_lasts(*programs);
    EXPECT_FALSE(FlowTable(programs->flow_table()).find(numbered_key(1)));
    EXPECT_TRUE(programs->is_fresh("predictions"));
    EXPECT_FALSE(Maps(*programs).predictions.find(numbered_client(1)));
    EXPECT_EQ(pinned_abi(), std::uint32_t{REMORA_ABI});
  }
}

}  // namespace
}  // namespace remora
