// SPDX-License-Identifier: Apache-2.0
//
// The states that a start may meet: no pins, those of its predecessor, pins of another size or
// version, a foreign program. Runs in a network namespace and a bpffs directory of its own;
// needs root.
#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/if_link.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <tuple>

#include "daemon/base/clock.h"
#include "daemon/base/link.h"
#include "daemon/kernel/fill_gauge.h"
#include "daemon/steering/predictions.h"
#include "tests/daemon/lb_fixture.h"

namespace remora {
namespace {

namespace fs = std::filesystem;

constexpr __u32 kOnly = 0;

// An observation as the history recorded it, with the routes of that time.
Observation publish(const std::string& client, const std::string& topic,
                    const std::string& service = to_string(kService),
                    std::int64_t at_ms = unix_ms()) {
  return {.at_ms = at_ms,
          .service = service,
          .client = client,
          .topic = topic,
          .group = "rest",
          .from_group = std::nullopt,
          .action = Action::learned,
          .lesson_time = static_cast<std::uint64_t>(at_ms) * 16 / 1000};
}

class TakeoverTest : public LbTest {
 protected:
  void SetUp() override {
    LbTest::SetUp();
    config_ = text().config();
  }

  static LbText text(const std::string& limits = "flows = 1000\n") {
    return {.groups = {{"rest", "10.1.50.203", {{"10.1.3.105"}}},
                       {"warm", "10.1.50.201", {{"10.1.3.101"}, {"10.1.3.102", 3}}}},
            .routes = {{"t/warm", "warm"}},
            .lb = "xdp_mode = \"generic\"\n",
            .limits = "clients = 1000\n" + limits};
  }
  static Config with_limits(const std::string& limits) { return text(limits).config(); }

  static Config katran() {
    Config config = text().config();
    config.lb.forwarder = ForwarderKind::kKatranObject;
    config.lb.katran_object = REMORA_BPF_DIR "/katran_stand_in.bpf.o";
    return config;
  }

  std::unique_ptr<Running> start(const Config& config) const {
    auto running = run(config);
    running->attach();
    return running;
  }

  static std::uint64_t load(const Running& running, History& past) {
    const Predictions predictions(running.maps, past, 1000);
    return predictions.load(*running.steering.matching()).loaded;
  }
  static std::uint64_t rematch(const Running& running, History& past) {
    const Predictions predictions(running.maps, past, 1000);
    return predictions.rematch(*running.steering.matching()).followed;
  }

  bool is_attached() const {
    LIBBPF_OPTS(bpf_xdp_query_opts, query);
    return bpf_xdp_query(static_cast<int>(network_->lb_index()), 0, &query) == 0 &&
           query.prog_id != 0;
  }

  History history() const { return History({.path = files_ / "history.db"}); }

  Config config_;
};

client_key client(const char* address) {
  return {Address::parse(address)->abi(), 0, 0};
}

TEST_F(TakeoverTest, ASecondDaemonFindsWhatTheFirstLearned) {
  auto first = start(config_);
  first->maps.predictions.put(client("10.1.1.7"),
                              {.topic_hash = 5, .time = 6, .group = 1, .flags = 0});
  const auto key = first->maps.topic_keys.find(kOnly);
  first.reset();
  EXPECT_TRUE(is_attached()) << "forwarding stopped with the daemon";

  const auto second = start(config_);

  EXPECT_FALSE(second->programs.is_fresh("predictions"));
  EXPECT_EQ(second->maps.predictions.find(client("10.1.1.7"))->topic_hash, 5U);
  EXPECT_EQ(second->maps.topic_keys.find(kOnly)->start[0], key->start[0])
      << "hashes lost their meaning";
}

TEST_F(TakeoverTest, GroupsKeepTheirNumbersByName) {
  const std::uint16_t warm = start(config_)->ids.of_group("warm");

  LbText other = text();
  other.groups.insert(other.groups.begin(), {"new", "10.1.50.209", {{"10.1.3.109"}}});
  const auto second = start(other.config());

  EXPECT_EQ(second->ids.of_group("warm"), warm);
  EXPECT_EQ(second->maps.groups.find(second->ids.of_group("new"))->in_use, 1);
}

TEST_F(TakeoverTest, AGroupThatIsGoneTakesNoNewConnections) {
  const std::uint16_t warm = start(config_)->ids.of_group("warm");

  LbText without = text();
  without.groups.pop_back();
  without.routes.clear();
  const auto second = start(without.config());

  EXPECT_EQ(second->maps.groups.find(warm)->in_use, 0);
  EXPECT_EQ(second->ids.group_name(warm), "warm") << "its records still name it";
}

flow_key numbered_flow(std::uint32_t number) {
  return {Address::from_ipv4(0x90a + (number << 16)).abi(), 40000, 0};
}

std::uint64_t flows_in(const Maps& maps) {
  FlowReader reader(maps.flows, 100);
  std::uint64_t count = 0;
  for (auto [keys, flows] = reader.next(); !keys.empty(); std::tie(keys, flows) = reader.next()) {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      EXPECT_EQ(flows[i].isn, keys[i].client.word[3]) << "another one's flow";
    }
    count += keys.size();
  }
  return count;
}

void fill_with_flows(const Maps& maps, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) {
    flow live{};
    live.state = FLOW_ESTABLISHED;
    live.isn = numbered_flow(i).client.word[3];
    ASSERT_TRUE(maps.flows.put(numbered_flow(i), live));
  }
}

TEST_F(TakeoverTest, ATableOfTheSameSizeIsTheSameTable) {
  fill_with_flows(start(config_)->maps, 700);

  const auto second = start(config_);

  EXPECT_EQ(flows_in(second->maps), 700u);
  EXPECT_EQ(second->maps.flows.find(numbered_flow(699))->isn, numbered_flow(699).client.word[3]);
}

TEST_F(TakeoverTest, ALargerTableKeepsItsFlows) {
  fill_with_flows(start(config_)->maps, 1000);

  const auto second = start(with_limits("flows = 2000\n"));

  EXPECT_EQ(flows_in(second->maps), 1000u);
  fill_with_flows(second->maps, 2000);
  EXPECT_FALSE(second->maps.flows.put(numbered_flow(2000), {})) << "full";
}

TEST_F(TakeoverTest, ASmallerTableKeepsWhatItHasRoomFor) {
  {
    const auto first = start(config_);
    fill_with_flows(first->maps, 1000);
    for (std::uint32_t i = 0; i < 300; ++i) first->maps.flows.erase(numbered_flow(i));
  }

  const auto second = start(with_limits("flows = 500\n"));
  EXPECT_EQ(flows_in(second->maps), 500u);

  const auto third = start(config_);
  EXPECT_EQ(flows_in(third->maps), 500u);
}

// After a failed start the table is still there for those who use it.
TEST_F(TakeoverTest, AStartThatFailsLeavesTheFlows) {
  fill_with_flows(start(config_)->maps, 100);

  Config wrong = with_limits("flows = 2000\n");
  wrong.lb.forwarder = ForwarderKind::kKatranObject;
  wrong.lb.katran_object = "/nowhere/balancer.bpf.o";
  EXPECT_THROW(start(wrong), std::runtime_error);

  EXPECT_EQ(flows_in(start(config_)->maps), 100u);
}

// Katran's connection tables are pinned next to the maps.
TEST_F(TakeoverTest, AKatranObjectKeepsItsConnectionsAndOthersRemoveThem) {
  start(katran());
  EXPECT_TRUE(fs::exists(pins_ / "katran_lru_0"));

  start(config_);
  EXPECT_FALSE(fs::exists(pins_ / "katran_lru_0"));
}

TEST_F(TakeoverTest, AKatranObjectThatIsNeverAttachedLeavesNoPins) {
  {
    const auto running = run(katran());
    EXPECT_TRUE(fs::exists(pins_ / "katran_lru_0"));
  }
  EXPECT_FALSE(fs::exists(pins_)) << "pins were left behind";
}

// An earlier start may have been killed halfway.
TEST_F(TakeoverTest, APartOfAFlowTableIsNoFlowTable) {
  for (const char* part : {"flows", "places", "hints", "free_places", "places_taken"}) {
    SCOPED_TRACE(part);
    fill_with_flows(start(config_)->maps, 1000);
    fs::remove(pins_ / part);

    const auto second = start(config_);
    EXPECT_EQ(flows_in(second->maps), 0u);
    fill_with_flows(second->maps, 1000);
    EXPECT_EQ(flows_in(second->maps), 1000u);
  }
}

TEST_F(TakeoverTest, TextsHaveTheRoomOfTheLimits) {
  const auto running = start(with_limits("topics = 1500\nearly_segments = 2500\n"));

  for (const auto& [name, entries] : {std::pair("topics", 1500U), {"early_segments", 2500U}}) {
    bpf_map_info info{};
    __u32 size = sizeof(info);
    ASSERT_EQ(bpf_obj_get_info_by_fd(running->programs.map_fd(name), &info, &size), 0);
    EXPECT_EQ(info.max_entries, entries) << name;
  }
  running->maps.topics.put({{}, 7, 0}, {});
  EXPECT_EQ(count_entries(running->maps.topics), 1U);
  EXPECT_EQ(count_entries(running->maps.early_segments), 0U);
}

TEST_F(TakeoverTest, TablesOfAnotherVersionAreMadeAnew) {
  {
    const auto first = start(config_);
    first->maps.predictions.put(client("10.1.1.7"),
                                {.topic_hash = 5, .time = 6, .group = 1, .flags = 0});
    auto other = *first->maps.settings.find(kOnly);
    other.abi = REMORA_ABI + 1;
    first->maps.settings.put(kOnly, other);
  }

  const auto second = start(config_);

  EXPECT_TRUE(second->programs.is_fresh("predictions"));
  EXPECT_FALSE(second->maps.predictions.find(client("10.1.1.7")));
  EXPECT_EQ(second->maps.settings.find(kOnly)->abi, REMORA_ABI);
}

TEST_F(TakeoverTest, SomebodyElsesProgramIsLeftAloneAndNothingOfOursStays) {
  const auto foreign = std::make_unique<Programs>(
      config_, pin_folder("/sys/fs/bpf", "test-foreign-" + std::to_string(getpid())),
      network_->lb_index());
  foreign->attach(foreign->program("forward"));

  try {
    start(config_);
    FAIL() << "no error";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("xdp_root"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("xdp off"), std::string::npos) << error.what();
  }

  EXPECT_FALSE(fs::exists(pins_)) << "pins were left behind";
  EXPECT_TRUE(is_attached());
  Programs::detach(pin_folder("/sys/fs/bpf", "test-foreign-" + std::to_string(getpid())),
                   network_->lb_index());
}

TEST_F(TakeoverTest, AnotherInterfaceOfTheConfigurationIsTheOnlyOneWithPrograms) {
  start(config_);
  LbNetwork::run("ip link add lb2 type veth peer name gw2");
  const unsigned other = find_link("lb2")->index;

  Running(config_, pins_, other).attach();

  EXPECT_FALSE(is_attached());
  LbNetwork::run("! tc qdisc show dev lb | grep clsact");
  LbNetwork::run("tc filter show dev lb2 egress | grep -q remora_health");
  Programs::detach(pins_, other);
}

// A start used to update the link of the other one and to report success without XDP.
TEST_F(TakeoverTest, AnInterfaceOfAnotherNamespaceWithTheSameIndexIsNotOurs) {
  start(config_);
  const unsigned index = network_->lb_index();
  {
    const LbNetwork elsewhere;
    ASSERT_EQ(elsewhere.lb_index(), index);
    ASSERT_FALSE(is_attached());

    start(config_);
    EXPECT_TRUE(is_attached());
  }
  EXPECT_FALSE(is_attached()) << "an instance has one interface";
}

// A start used to count all entries before the loop ran: two seconds for five million.
TEST_F(TakeoverTest, ALargeTableIsCountedWhileTheLoopRuns) {
  const auto running = start(config_);
  for (const char* address : {"10.1.1.7", "10.1.1.8", "10.1.1.9"})
    running->maps.predictions.put(client(address), {});
  const MapSpec& predictions = *find_map_spec("predictions");
  const int map = running->programs.map_fd("predictions");
  EXPECT_EQ(FillGauge(predictions, map, 1000).used(), 3U);

  FillGauge large(predictions, map, 10'000'000);
  EXPECT_FALSE(large.used());
  for (int i = 0; i < 2; ++i) large.step();  // a batch, and the end
  EXPECT_EQ(large.used(), 3U);
}

TEST_F(TakeoverTest, AnotherQdiscInThePlaceOfClsactIsRefusedWithTheRemedy) {
  LbNetwork::run("tc qdisc add dev lb ingress");
  try {
    start(config_);
    FAIL() << "no error";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("tc qdisc del dev lb ingress"), std::string::npos)
        << error.what();
  }
  EXPECT_FALSE(is_attached());
  EXPECT_FALSE(fs::exists(pins_));

  LbNetwork::run("tc qdisc del dev lb ingress");
  start(config_);
  EXPECT_TRUE(is_attached());
}

TEST_F(TakeoverTest, DetachLeavesNothing) {
  start(config_);
  ASSERT_TRUE(is_attached());

  EXPECT_TRUE(Programs::detach(pins_, network_->lb_index()));

  EXPECT_FALSE(is_attached());
  EXPECT_FALSE(fs::exists(pins_));
  pin_folder("/sys/fs/bpf", pins_.filename());
  EXPECT_FALSE(Programs::detach(pins_, network_->lb_index()))
      << "there was something left to take off";
}

TEST_F(TakeoverTest, LimitsThatDoNotFitAreRefusedWithTheFigure) {
  Config huge = config_;
  huge.limits.clients = huge.limits.flows = 2'000'000'000;  // half a terabyte
  try {
    start(huge);
    FAIL() << "no error";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("MiB"), std::string::npos) << error.what();
  }
  EXPECT_FALSE(fs::exists(pins_));
}

TEST_F(TakeoverTest, PredictionsComeBackFromTheHistory) {
  History past = history();
  past.record(publish("10.1.1.7", "t/warm"));
  past.record(publish("10.1.1.8", "t/else"));
  past.record(publish("10.1.1.9", "t/warm", "10.1.50.9:1883"));
  ASSERT_TRUE(past.flush());
  const auto running = start(config_);

  EXPECT_EQ(load(*running, past), 2U);

  const auto warm = running->maps.predictions.find(client("10.1.1.7"));
  const auto rest = running->maps.predictions.find(client("10.1.1.8"));
  EXPECT_EQ(warm->group, running->ids.of_group("warm")) << "matched against today's routes";
  EXPECT_EQ(rest->group, running->ids.of_group("rest"));
  EXPECT_NE(warm->topic_hash, rest->topic_hash);
}

TEST_F(TakeoverTest, PredictionsOfIpv6ClientsComeBackHoweverTheyAreWritten) {
  History past = history();
  past.record(publish("2001:db8::7", "t/warm"));
  past.record(publish("2001:0DB8:0::8", "t/warm"));
  ASSERT_TRUE(past.flush());
  const auto running = start(config_);

  EXPECT_EQ(load(*running, past), 2U);

  for (const char* address : {"2001:db8::7", "2001:db8::8"}) {
    const auto known = running->maps.predictions.find(client(address));
    ASSERT_TRUE(known) << address;
    EXPECT_EQ(known->group, running->ids.of_group("warm"));
  }
}

TEST_F(TakeoverTest, TheHistoryDoesNotOverwriteWhatTheKernelLearnedLater) {
  History past = history();
  past.record(publish("10.1.1.7", "t/warm"));
  ASSERT_TRUE(past.flush());
  const auto running = start(config_);
  const auto later = static_cast<std::uint32_t>(past.newest_lesson() + 1);
  running->maps.predictions.put(client("10.1.1.7"), {77, later, 0, 0});

  EXPECT_EQ(load(*running, past), 0U);

  EXPECT_EQ(running->maps.predictions.find(client("10.1.1.7"))->topic_hash, 77U);
}

TEST_F(TakeoverTest, TheHistoryTellsTheKernelWhatIsLater) {
  History past = history();
  past.record(publish("10.1.1.7", "t/warm"));
  ASSERT_TRUE(past.flush());
  const auto running = start(config_);
  const auto earlier = static_cast<std::uint32_t>(past.newest_lesson() - 1);
  running->maps.predictions.put(client("10.1.1.7"), {77, earlier, 0, 0});

  load(*running, past);

  const auto known = running->maps.predictions.find(client("10.1.1.7"));
  EXPECT_EQ(known->topic_hash, running->steering.matching()->hash("t/warm"));
  EXPECT_EQ(known->group, running->ids.of_group("warm"));
  EXPECT_EQ(known->flags, PREDICTION_TOLD);
}

// This also holds if the wall clock was ahead for a while and is right again.
TEST_F(TakeoverTest, WhatIsTaughtNowIsLaterThanTheWholeHistory) {
  History past = history();
  past.record(
      publish("10.1.1.7", "t/warm", to_string(kService), unix_ms() + 400LL * 24 * 3'600'000));
  ASSERT_TRUE(past.flush());
  const auto running = start(config_);

  const Predictions predictions(running->maps, past, 1000);

  const LessonTime now = predictions.clock().at(monotonic_ns());
  EXPECT_GE(now, past.newest_lesson());
  EXPECT_LT(now, past.newest_lesson() + 160);
  const auto settings = *running->maps.settings.find(kOnly);
  EXPECT_EQ(lesson_clock(settings.lesson_clock_ns, monotonic_ns()) & ~0xfU,
            static_cast<std::uint32_t>(predictions.clock().at(monotonic_ns())) & ~0xfU);
}

TEST_F(TakeoverTest, TheClientsSeenLastFillATableThatIsTooSmallForAll) {
  History past = history();
  constexpr int kClients = 1500;  // the table has room for 1000
  for (int i = 0; i < kClients; ++i) {
    const std::string address = "10.2." + std::to_string(i / 250) + "." + std::to_string(i % 250);
    past.record(publish(address, "t/warm", to_string(kService), unix_ms() - kClients + i));
  }
  ASSERT_TRUE(past.flush());
  const auto running = start(config_);

  const std::uint64_t loaded = load(*running, past);

  EXPECT_EQ(running->maps.predictions.size(), loaded) << "some pushed others out";
  EXPECT_EQ(loaded, 1000U);
  EXPECT_TRUE(running->maps.predictions.find(client("10.2.5.249"))) << "the last one seen";
  EXPECT_FALSE(running->maps.predictions.find(client("10.2.0.0"))) << "the first one seen";
}

TEST_F(TakeoverTest, KnownTopicsFollowChangedRoutes) {
  History past = history();
  past.record(publish("10.1.1.7", "t/warm"));
  ASSERT_TRUE(past.flush());
  const auto running = start(config_);
  load(*running, past);

  LbText changed = text();
  changed.routes[0].filter = "t/cold";
  running->steering.apply(changed.config(), kMtu);

  EXPECT_EQ(rematch(*running, past), 1U);
  EXPECT_EQ(running->maps.predictions.find(client("10.1.1.7"))->group,
            running->ids.of_group("rest"));
}

TEST_F(TakeoverTest, RealsOfBothFamiliesKeepTheirNumbers) {
  LbText text6 = text();
  text6.groups[0].reals = {{"fc00:3::105"}};
  const Address six = *Address::parse("fc00:3::105"), four = *Address::parse("10.1.3.101");
  std::uint32_t index6 = 0, index4 = 0;
  {
    const auto first = start(text6.config());
    index6 = first->ids.of_real(six);
    index4 = first->ids.of_real(four);
    const auto entry = first->maps.reals.find(index6);
    EXPECT_EQ(entry->flags, REAL_IPV6);
    EXPECT_EQ(std::memcmp(entry->address, six.abi().word, sizeof(entry->address)), 0);
    EXPECT_EQ(first->maps.reals.find(index4)->flags, 0);
    EXPECT_EQ(first->maps.reals.find(index4)->address[0], four.ipv4());
  }

  const auto second = start(config_);

  EXPECT_EQ(second->ids.real_address(index6), six);
  EXPECT_EQ(second->ids.real_address(index4), four);
  EXPECT_EQ(second->ids.of_real(six), index6);
  EXPECT_NE(second->ids.of_real(*Address::parse("10.1.3.105")), index6);
}

TEST_F(TakeoverTest, TheOuterSourceFollowsTheConfiguration) {
  Config config = config_;
  config.lb.outer_source6 = Address::parse("fc00:2::2");

  const auto running = start(config);

  auto in_force = *running->maps.settings.find(kOnly);
  EXPECT_EQ(Address(in_force.outer_source4), Address());
  EXPECT_EQ(Address(in_force.outer_source6), *Address::parse("fc00:2::2"));

  running->steering.apply(config_, kMtu);

  in_force = *running->maps.settings.find(kOnly);
  EXPECT_EQ(Address(in_force.outer_source6), Address());
}

TEST_F(TakeoverTest, RoutesOfFormerGenerationsAreRemoved) {
  const auto running = start(config_);
  const auto before = running->maps.settings.find(kOnly)->generation;

  running->steering.apply(config_, kMtu);

  BatchReader<__u64, route> reader(running->maps.routes, 16);
  const auto [keys, values] = reader.next();
  ASSERT_EQ(keys.size(), 1U);
  EXPECT_EQ(values[0].generation, before + 1);
}

}  // namespace
}  // namespace remora
