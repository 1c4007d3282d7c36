// SPDX-License-Identifier: Apache-2.0
//
// Checks of an LB host: of a sound host, and of hosts with one fault each.
#include <gtest/gtest.h>

#include <cerrno>
#include <functional>
#include <ostream>

#include "cli/doctor/lb_checks.h"
#include "tests/cli/complaint.h"

namespace remora::doctor {
namespace {

using json = nlohmann::ordered_json;

constexpr const char* kConfig = R"([lb]
interface = "eth0"
[[service]]
name = "mqtt"
address = "10.1.50.200"
port = 1883
default_group = "default"
unknown_clients = "default"
[[group]]
name = "default"
vip = "10.1.50.203"
reals = [ { address = "10.1.3.105" }, { address = "10.1.3.106" } ]
)";

constexpr unsigned kEth0 = 2;
const MacAddress kGateway = *MacAddress::parse("02:00:00:00:00:01");
const Address kReal = *Address::parse("10.1.3.105");

json real(const char* state) {
  return {{"group", "default"}, {"real", "10.1.3.105"}, {"state", state}, {"evacuated", false}};
}

LbFacts sound() {
  LbFacts facts;
  facts.host.kernel_release = "6.1.0-23-amd64";
  facts.host.kernel = {6, 1};
  Interface lo, eth0;
  lo = {.index = 1, .name = "lo", .is_up = true, .is_loopback = true, .answers_arp = false};
  eth0 = {.index = kEth0, .name = "eth0", .is_up = true, .has_carrier = true, .mtu = 1500};
  facts.host.interfaces = std::vector{lo, eth0};
  facts.host.addresses =
      std::vector{InterfaceAddress{kEth0, *Address::parse("10.1.2.2"), 24, true}};
  facts.host.sysctls = {{"net/ipv4/ip_forward", 0},
                        {"net/ipv4/conf/eth0/forwarding", 0},
                        {"net/ipv6/conf/all/forwarding", 0},
                        {"net/ipv6/conf/eth0/forwarding", 0}};
  facts.has_bpffs = true;
  facts.config = parse_config(kConfig, "remora.toml");
  facts.interface = eth0;
  facts.xdp = AttachedXdp{.native_id = 7, .native_name = "xdp_root"};
  facts.probe = std::string("remora_probe");
  facts.pins.link_interface = std::optional(kEth0);
  facts.pins.slots = std::optional(std::map<std::uint32_t, std::string>{
      {SLOT_MQTT, "xdp_mqtt"}, {SLOT_FORWARDER, "xdp_forward"}});
  ::settings settings{};
  settings.link_mtu = 1500;
  facts.pins.settings = std::optional(settings);
  facts.pins.gateway = std::optional(kGateway);
  facts.pins.beat_at_ns = std::optional<std::uint64_t>(100'000'000'000);
  facts.pins.counters = std::optional(std::array<std::uint64_t, COUNTERS>{});
  facts.now_ns = 100'400'000'000;
  facts.daemon.status = json{{"uptime_s", 3},
                             {"reals", json::array({real("enabled")})},
                             {"tables", {{"flows", {{"used", 5}, {"limit", 100}}}}},
                             {"daemon", {{"failed_callbacks", {{"value", 0}}}}},
                             {"history", {{"ok", true}, {"error", ""}}}};
  facts.daemon.config_text = std::string(kConfig);
  facts.offloads = Offloads{};
  facts.driver = std::string("virtio_net");
  facts.xdp_tx_errors = std::map<std::string, std::uint64_t>{{"tx_queue_0_xdp_tx_drops", 0}};
  facts.router = Router{Address::parse("10.1.2.1"), kGateway};
  facts.routes_to_reals = std::map<Address, RouteAnswer>{{kReal, {}}};
  facts.listeners = std::vector<Listener>{};
  facts.store = StoreFolder{.exists = true, .is_read_only = false, .free_bytes = 1ULL << 40};
  facts.memory_available = std::uint64_t{1} << 34;
  return facts;
}

void reconfigure(LbFacts& facts, const std::string& text) {
  facts.config = parse_config(text, "remora.toml");
  facts.daemon.config_text = text;
}

std::string with_line(const std::string& behind, const std::string& line) {
  std::string text = kConfig;
  return text.insert(text.find(behind) + behind.size(), "\n" + line);
}

void count(LbFacts& facts, counter number, std::uint64_t value) {
  auto counters = **facts.pins.counters;
  counters[number] = value;
  facts.pins.counters = std::optional(counters);
}

TEST(LbDoctorTest, ASoundHostIsOkInAllThatIsLookedAt) {
  const Findings findings = check_lb(sound());

  EXPECT_EQ(complaints_of(findings), Complaints{});
  EXPECT_GT(findings.size(), 20u);
}

struct Break {
  const char* what;
  std::function<void(LbFacts&)> happen;
  Complaint complaint;
  const char* words;
};

// Without this GoogleTest prints the bytes, which differ from run to run.
void PrintTo(const Break& broken, std::ostream* out) {
  *out << broken.what;
}

const Break kBreaks[] = {
    {"OldKernel",
     [](LbFacts& f) {
       f.host.kernel = {5, 10};
     },
     {"kernel"},
     "5.18"},
    {"UntriedKernel",
     [](LbFacts& f) {
       f.host.kernel = {5, 19};
     },
     {"kernel", State::kWarning},
     "6.1"},
    {"NoBpffs", [](LbFacts& f) { f.has_bpffs = false; }, {"bpffs"}, "mount -t bpf bpf /sys/fs/bpf"},
    {"DaemonStopped",
     [](LbFacts& f) {
       f.daemon.status = Fact<json>::missing("Connection refused");
       f.pins.beat_at_ns = std::optional<std::uint64_t>(0);
     },
     {"daemon"},
     "It was stopped"},
    {"DaemonKilled",
     [](LbFacts& f) {
       f.daemon.status = Fact<json>::missing("Connection refused");
       f.now_ns += 600'000'000'000;
     },
     {"daemon"},
     "alive 10 minutes ago; forwarding and prediction go on"},
    {"DaemonMayNotBeAsked",
     [](LbFacts& f) {
       f.daemon.status = Fact<json>::missing("Permission denied");
       f.daemon.may_not_ask = true;
     },
     {"daemon", State::kUnknown},
     "Permission denied"},
    {"HeartbeatOld", [](LbFacts& f) { f.now_ns += 10'000'000'000; }, {"daemon"}, "heartbeat"},
    {"CallbackFailed",
     [](LbFacts& f) { (*f.daemon.status.value)["daemon"]["failed_callbacks"]["value"] = 2; },
     {"daemon", State::kWarning},
     "failed_callbacks is 2"},
    {"FileChanged",
     [](LbFacts& f) {
       f.config = parse_config(with_line("[lb]", "outer_source = \"10.1.2.2\""), "remora.toml");
     },
     {"config_in_force", State::kWarning},
     "[lb] outer_source # systemctl reload remora"},
    {"HealthChanged",
     [](LbFacts& f) {
       f.config = parse_config(
           std::string(kConfig) + "[health]\nrise = 4\n[evacuate]\nreason = 0x9D", "remora.toml");
     },
     {"config_in_force", State::kWarning},
     "[evacuate] reason, [health] rise # systemctl reload remora"},
    {"FileChangedForARestart",
     [](LbFacts& f) {
       f.daemon.config_text = with_line("[lb]", "ring = \"maglev\"") + "[health]\nrise = 4";
     },
     {"config_in_force", State::kWarning},
     "[lb] ring, [health] rise # systemctl restart remora"},
    {"FileChangedForADetach",
     [](LbFacts& f) { f.daemon.config_text = with_line("[lb]", "xdp_mode = \"generic\""); },
     {"config_in_force", State::kWarning},
     "[lb] xdp_mode # systemctl stop remora && remorad --detach --config OLD_FILE && "},
    {"RunsWithAFileOfAnotherVersion",
     [](LbFacts& f) { f.daemon.config_text = with_line("[lb]", "colour = 3"); },
     {"config_in_force", State::kUnknown},
     "refuses"},
    {"InterfaceGone", [](LbFacts& f) { f.interface.reset(); }, {"interface"}, "no such interface"},
    {"InterfaceDown",
     [](LbFacts& f) { f.interface->is_up = false; },
     {"interface"},
     "ip link set eth0 up"},
    {"NoCarrier", [](LbFacts& f) { f.interface->has_carrier = false; }, {"interface"}, "carrier"},
    {"NotAttached", [](LbFacts& f) { f.xdp = AttachedXdp{}; }, {"xdp"}, "systemctl restart remora"},
    {"AttachedInAnotherMode",
     [](LbFacts& f) { f.xdp = AttachedXdp{.generic_id = 7, .generic_name = "xdp_root"}; },
     {"xdp"},
     "generic mode instead"},
    {"ForeignProgram",
     [](LbFacts& f) { f.xdp = AttachedXdp{.native_id = 9, .native_name = "xdp_dispatcher"}; },
     {"xdp"},
     "\"xdp_dispatcher\", which is not ours # bpftool net"},
    {"AnotherInstance",
     [](LbFacts& f) { f.pins.link_interface = std::optional<unsigned>(); },
     {"xdp"},
     "another instance"},
    {"SlotOfTheStageEmpty",
     [](LbFacts& f) { (**f.pins.slots.value).erase(SLOT_MQTT); },
     {"slots"},
     "slot 1 of the root array, the mqtt stage, is empty"},
    {"SlotOfTheForwarderEmpty",
     [](LbFacts& f) { (**f.pins.slots.value).erase(SLOT_FORWARDER); },
     {"slots"},
     "slot 2 of the root array, the forwarder, is empty: service packets are dropped"},
    {"ForeignForwarder",
     [](LbFacts& f) { (**f.pins.slots.value)[SLOT_FORWARDER] = "balancer_ingres"; },
     {"slots"},
     "holds \"balancer_ingres\", not \"xdp_forward\""},
    {"NoPins",
     [](LbFacts& f) { f.pins.slots = std::optional<std::map<std::uint32_t, std::string>>(); },
     {"slots"},
     "nothing was loaded"},
    {"PinsMayNotBeRead",
     [](LbFacts& f) { f.pins.slots = decltype(f.pins.slots)::missing("Permission denied"); },
     {"slots", State::kUnknown},
     "Permission denied"},
    {"NoProbe", [](LbFacts& f) { f.probe = std::string(); }, {"probe"}, "not reset at once"},
    {"LroOnInNativeMode",
     [](LbFacts& f) { f.offloads = Offloads{.lro = true, .gro = true}; },
     {"offloads"},
     "ethtool -K eth0 lro off"},
    {"GroOnInGenericMode",
     [](LbFacts& f) {
       reconfigure(f, with_line("[lb]", "xdp_mode = \"generic\""));
       f.xdp = AttachedXdp{.generic_id = 7, .generic_name = "xdp_root"};
       f.offloads = Offloads{.lro = false, .gro = true};
     },
     {"offloads"},
     "ethtool -K eth0 gro off"},
    {"LargerMtu",
     [](LbFacts& f) {
       f.interface->mtu = 1600;
       (**f.pins.settings.value).link_mtu = 1600;
     },
     {"mtu", State::kWarning},
     "remora-decap cannot reassemble them"},
    {"MtuChangedUnseen",
     [](LbFacts& f) { f.interface->mtu = 1400; },
     {"mtu"},
     "not that of the packet path, 1500"},
    {"NoDefaultRoute",
     [](LbFacts& f) { f.router = Router{}; },
     {"gateway"},
     "ip route add default via ROUTER dev eth0"},
    {"GatewaySilent",
     [](LbFacts& f) {
       f.router = Router{Address::parse("10.1.2.1"), std::nullopt};
     },
     {"gateway"},
     "10.1.2.1 does not answer ARP"},
    {"GatewayMovedUnseen",
     [](LbFacts& f) { f.pins.gateway = MacAddress::parse("02:00:00:00:00:09"); },
     {"gateway"},
     "sends packets for brokers to 02:00:00:00:00:09"},
    {"GatewayNotYetKnown",
     [](LbFacts& f) { f.pins.gateway = std::optional(MacAddress()); },
     {"gateway"},
     "does not know the gateway yet"},
    {"Forwarding",
     [](LbFacts& f) {
       f.host.sysctls["net/ipv4/ip_forward"] = 1;
       f.host.sysctls["net/ipv4/conf/eth0/forwarding"] = 1;
     },
     {"ip_forward"},
     "sysctl -w net.ipv4.ip_forward=0"},
    {"ForwardingOfTheInterfaceAlone",
     [](LbFacts& f) { f.host.sysctls["net/ipv4/conf/eth0/forwarding"] = 1; },
     {"ip_forward"},
     "sysctl -w net.ipv4.conf.eth0.forwarding=0"},
    {"ForwardingNotShown",
     [](LbFacts& f) { f.host.sysctls.erase("net/ipv4/conf/eth0/forwarding"); },
     {"ip_forward", State::kUnknown},
     "does not show"},
    {"OuterSourceElsewhere",
     [](LbFacts& f) { reconfigure(f, with_line("[lb]", "outer_source = \"10.1.2.9\"")); },
     {"outer_source", State::kWarning},
     "10.1.2.9, which is not on this host"},
    {"ServiceServedHere",
     [](LbFacts& f) {
       f.host.addresses.value->push_back({1, *Address::parse("10.1.50.200"), 32, true});
       f.listeners = std::vector{Listener{*Address::parse("0.0.0.0"), 1883, {}}};
     },
     {"service_address", State::kWarning},
     "a process listens there"},
    {"NoRouteToAReal",
     [](LbFacts& f) { f.routes_to_reals.value->at(kReal).refused = ENETUNREACH; },
     {"routes", State::kWarning},
     "Network is unreachable"},
    {"NoRouteToManyReals",
     [](LbFacts& f) {
       for (const char* real : {"10.1.3.1", "10.1.3.2", "10.1.3.3", "10.1.3.4", "10.1.3.5"})
         (*f.routes_to_reals.value)[*Address::parse(real)].refused = EHOSTUNREACH;
     },
     {"routes", State::kWarning},
     "to 10.1.3.1, 10.1.3.2, 10.1.3.3 and 2 more is missing"},
    {"GatewayMayNotBeRead",
     [](LbFacts& f) { f.pins.gateway = decltype(f.pins.gateway)::missing("Permission denied"); },
     {"gateway", State::kUnknown},
     "Permission denied"},
    {"RealIsThisHost",
     [](LbFacts& f) { f.routes_to_reals.value->at(kReal).is_local = true; },
     {"routes"},
     "10.1.3.105 is an address of this host"},
    {"RealDrained",
     [](LbFacts& f) {
       (*f.daemon.status.value)["reals"] = json::array({real("draining"), real("enabled")});
     },
     {"reals", State::kWarning},
     "remoractl reals enable 10.1.3.105 --group default"},
    {"RealDead",
     [](LbFacts& f) {
       (*f.daemon.status.value)["reals"] = json::array({real("dead"), real("enabled")});
     },
     {"reals", State::kWarning},
     "is dead"},
    {"FlowsNearlyFull",
     [](LbFacts& f) { (*f.daemon.status.value)["tables"]["flows"]["used"] = 91; },
     {"tables", State::kWarning},
     "91 of 100"},
    {"TableBeingCounted",
     [](LbFacts& f) {
       (*f.daemon.status.value)["tables"]["predictions"] = {{"used", nullptr}, {"limit", 100}};
     },
     {"tables", State::kUnknown},
     "being counted"},
    {"HistoryFailing",
     [](LbFacts& f) {
       (*f.daemon.status.value)["history"] = {{"ok", false}, {"error", "I/O"}};
     },
     {"history"},
     "cannot be written: I/O"},
    {"HistoryWithoutFolder",
     [](LbFacts& f) { f.store = StoreFolder{}; },
     {"history"},
     "mkdir -p -m 750 /var/lib/remora"},
    {"HistoryReadOnly",
     [](LbFacts& f) { f.store.value->is_read_only = true; },
     {"history"},
     "read-only"},
    {"DiskFull", [](LbFacts& f) { f.store.value->free_bytes = 1 << 20; }, {"history"}, "full"},
    {"DiskNearlyFull",
     [](LbFacts& f) { f.store.value->free_bytes = 50 << 20; },
     {"history", State::kWarning},
     "50 MiB"},
    {"NoForwarderCounted",
     [](LbFacts& f) { count(f, COUNT_NO_FORWARDER, 12); },
     {"counters", State::kWarning},
     "NO_FORWARDER is 12"},
    {"NoGatewayCounted",
     [](LbFacts& f) { count(f, COUNT_NO_GATEWAY, 1); },
     {"counters", State::kWarning},
     "NO_GATEWAY is 1"},
    {"NoConnectionComesAbout",
     [](LbFacts& f) { count(f, COUNT_SYN, 3); },
     {"connections", State::kWarning},
     "there were 3 SYNs"},
    {"NoHeadroomCounted",
     [](LbFacts& f) { count(f, COUNT_NO_HEADROOM, 1); },
     {"counters", State::kWarning},
     "generic"},
};

class LbDoctorBreakTest : public testing::TestWithParam<Break> {};

TEST_P(LbDoctorBreakTest, IsNamedAndNothingElse) {
  LbFacts facts = sound();
  GetParam().happen(facts);

  const Findings findings = check_lb(facts);

  EXPECT_EQ(complaints_of(findings), Complaints{GetParam().complaint});
  EXPECT_TRUE(says(findings, GetParam().complaint.check, GetParam().words));
}

INSTANTIATE_TEST_SUITE_P(All, LbDoctorBreakTest, testing::ValuesIn(kBreaks),
                         [](const auto& test) { return test.param.what; });

LbFacts with_router() {
  LbFacts facts = sound();
  std::string text = kConfig;
  const std::string without = "unknown_clients = \"default\"";
  reconfigure(facts, text.replace(text.find(without), without.size(), ""));
  const Endpoint service = facts.config->services.front().at();
  (*facts.daemon.status.value)["router"] = {{"open", true}, {"stalled", false}};
  facts.routed_services = {{.at = service, .way = RouteAnswer{.is_local = true}}};
  facts.listeners = std::vector<Listener>{{service.address, 1883, std::nullopt}};
  facts.brokers = std::map<Endpoint, int>{{Endpoint::at(kReal, 1883), 0}};
  return facts;
}

TEST(LbDoctorTest, ARouterInOrderIsOk) {
  EXPECT_EQ(complaints_of(check_lb(with_router())), Complaints{});
}

TEST(LbDoctorTest, WhatTheRouterLacksIsNamed) {
  const auto expect = [](const std::function<void(LbFacts&)>& happen, const Complaint& complaint,
                         const char* words) {
    LbFacts facts = with_router();
    happen(facts);
    const Findings findings = check_lb(facts);
    EXPECT_EQ(complaints_of(findings), Complaints{complaint});
    EXPECT_TRUE(says(findings, "router", words)) << words;
  };
  const Complaint error{"router"}, warning{"router", State::kWarning};

  expect([](LbFacts& f) { f.routed_services[0].way.value->is_local = false; }, error,
         "the way to the router for 10.1.50.200:1883");
  expect([](LbFacts& f) { f.routed_services[0].way.value->refused = EXDEV; }, error, "is refused");
  expect([](LbFacts& f) { f.listeners.value->clear(); }, error, "systemctl restart remora");
  expect([](LbFacts& f) { f.brokers.value->begin()->second = ECONNREFUSED; }, warning,
         "nc -vz 10.1.3.105 1883");
  expect([](LbFacts& f) { (*f.daemon.status.value)["router"]["stalled"] = true; }, error,
         "is stuck");
}

TEST(LbDoctorTest, ADeadGroupIsAnError) {
  LbFacts facts = sound();
  (*facts.daemon.status.value)["reals"] = json::array({real("dead")});

  const Findings findings = check_lb(facts);

  EXPECT_EQ(complaints_of(findings), (Complaints{{"reals", State::kWarning}, {"reals"}}));
  EXPECT_EQ(exit_code(findings), 1);
}

TEST(LbDoctorTest, WithoutAConfigurationTheInstanceIsNotLookedAt) {
  LbFacts facts = sound();
  facts.config = Fact<Config>::missing("remora.toml: the file cannot be read: no such file");
  facts.daemon.status = Fact<json>::missing("which instance is not known");

  const Findings findings = check_lb(facts);

  EXPECT_EQ(complaints_of(findings), (Complaints{{"config"}, {"daemon", State::kUnknown}}));
  EXPECT_TRUE(says(findings, "config", "remorad --check"));
}

TEST(LbDoctorTest, FramesThatTheDriverLosesAreNamed) {
  LbFacts facts = sound();
  facts.driver = std::string("veth");
  EXPECT_TRUE(says(check_xdp_tx(facts), "xdp_tx", "needs an XDP program at the other end"));

  facts.xdp_tx_errors = std::map<std::string, std::uint64_t>{{"rx_queue_0_xdp_tx_errors", 7}};
  EXPECT_EQ(complaints_of(check_xdp_tx(facts)), (Complaints{{"xdp_tx", State::kWarning}}));
  (*facts.daemon.status.value)["xdp_tx"] = {{"grew_s_ago", 90}};
  EXPECT_EQ(complaints_of(check_xdp_tx(facts)), (Complaints{{"xdp_tx", State::kWarning}}));

  (*facts.daemon.status.value)["xdp_tx"] = {{"grew_s_ago", 2}};
  const Findings findings = check_xdp_tx(facts);
  EXPECT_EQ(complaints_of(findings), Complaints{{"xdp_tx"}});
  EXPECT_TRUE(says(findings, "xdp_tx", "has lost 7 frames for brokers (rx_queue_0_xdp_tx_errors"));
  EXPECT_NE(findings[0].remedy.find("xdp_mode"), std::string::npos);

  facts.xdp_tx_errors = Fact<std::map<std::string, std::uint64_t>>::missing("no such ioctl");
  EXPECT_EQ(complaints_of(check_xdp_tx(facts)), (Complaints{{"xdp_tx", State::kUnknown}}));
}

TEST(LbDoctorTest, TheLastStartFailureIsNamedWithItsRemedy) {
  LbFacts facts = sound();
  facts.now_s = 1'000'120;
  facts.daemon.start_failure = {1'000'000, false,
                                "another qdisc is in the place of clsact; remove it: tc qdisc del "
                                "dev eth0 ingress"};
  EXPECT_EQ(complaints_of(check_daemon(facts)), Complaints{}) << "it runs";

  facts.daemon.status = Fact<json>::missing("No such file or directory");
  const Findings failed = check_daemon(facts);
  EXPECT_TRUE(says(failed, "daemon", "its last start failed 2 minutes ago: another qdisc is"));
  EXPECT_EQ(failed[0].remedy,
            "remove it: tc qdisc del dev eth0 ingress; then systemctl start remora");

  facts.daemon.start_failure = {1'000'119, true, "remora.toml:3: ring = 5 is no string"};
  facts.config = Fact<Config>::missing("remora.toml:3: ring = 5 is no string");
  const Findings refused = check_daemon(facts);
  EXPECT_TRUE(says(refused, "daemon", "failed 1 s ago: remora.toml:3: ring = 5"));
  EXPECT_EQ(refused[0].remedy.find("remorad --check "), 0u) << refused[0].remedy;
}

// The doctor used to report that it does not run and should be started.
TEST(LbDoctorTest, ADaemonThatDoesNotAnswerIsToBeRestarted) {
  LbFacts facts = sound();
  facts.daemon.status = Fact<json>::missing("remorad is there, but does not answer");
  facts.daemon.does_not_answer = true;
  facts.daemon.start_failure = {1'000'000, false, "an older failure"};

  const Findings silent = check_daemon(facts);

  EXPECT_TRUE(says(silent, "daemon", "does not answer"));
  EXPECT_EQ(silent[0].remedy, "systemctl restart remora");
}

TEST(LbDoctorTest, AConfigurationThatMayNotBeReadIsNotWrong) {
  LbFacts facts = sound();
  facts.config = Fact<Config>::missing("Permission denied");
  facts.may_not_read_config = true;

  EXPECT_EQ(complaints_of(check_configuration(facts)), (Complaints{{"config", State::kUnknown}}));
}

TEST(LbDoctorTest, TablesThatAreNotMadeYetNeedTheirMemory) {
  LbFacts facts = sound();
  facts.pins.settings = std::optional<::settings>();
  EXPECT_EQ(complaints_of(check_memory(facts)), Complaints{});

  facts.memory_available = std::uint64_t{100} << 20;
  EXPECT_EQ(complaints_of(check_memory(facts)), Complaints{{"memory"}});

  facts.memory_available = Fact<std::uint64_t>::missing("no /proc");
  EXPECT_EQ(complaints_of(check_memory(facts)), (Complaints{{"memory", State::kUnknown}}));
}

std::string beside_katran() {
  std::string text = with_line("[lb]", R"(forwarder = "katran-shared"
katran_root_array = "/sys/fs/bpf/jmp_eth0")");
  const auto reals = text.find("reals = ");
  return text.erase(reals, text.find('\n', reals) - reals);
}

LbFacts sound_beside_katran() {
  LbFacts facts = sound();
  reconfigure(facts, beside_katran());
  facts.router = Router{};  // Katran routes the packets
  facts.pins.gateway = std::optional<MacAddress>();
  facts.routes_to_reals.value->clear();
  (**facts.pins.slots.value)[SLOT_FORWARDER] = "balancer_ingres";
  json& status = *facts.daemon.status.value;
  status["reals"] = json::array();
  status["groups"] = json::array({{{"name", "default"}, {"katran", "forwards"}}});
  return facts;
}

TEST(LbDoctorTest, BesideAKatranServerOnlyItsOwnMattersAreJudged) {
  EXPECT_EQ(complaints_of(check_lb(sound_beside_katran())), Complaints{});
}

TEST(LbDoctorTest, VipsThatKatranDoesNotForwardAreNamed) {
  LbFacts facts = sound_beside_katran();
  json& state = (*facts.daemon.status.value)["groups"][0]["katran"];

  state = "unknown";
  EXPECT_EQ(complaints_of(check_lb(facts)), Complaints{{"katran"}});
  EXPECT_TRUE(says(check_lb(facts), "katran", "katranc -A -t 10.1.50.203:1883"));

  state = "no real";
  EXPECT_EQ(complaints_of(check_lb(facts)), Complaints{{"katran"}});
  EXPECT_TRUE(says(check_lb(facts), "katran", "katranc -a -t 10.1.50.203:1883 -r REAL -w 1"));

  state = nullptr;
  EXPECT_EQ(complaints_of(check_lb(facts)), (Complaints{{"katran", State::kUnknown}}));
}

TEST(LbDoctorTest, AKatranServerThatIsAwayIsNamedOnce) {
  LbFacts facts = sound_beside_katran();
  (*facts.daemon.status.value)["groups"][0]["katran"] = "slot empty";
  (**facts.pins.slots.value).erase(SLOT_FORWARDER);

  const Findings findings = check_lb(facts);

  EXPECT_EQ(complaints_of(findings), Complaints{{"slots"}});
  EXPECT_TRUE(says(findings, "slots", "until that server runs # \n"));
}

TEST(LbDoctorTest, AKatranObjectMustBeThere) {
  LbFacts facts = sound();
  reconfigure(facts, with_line("[lb]", R"(forwarder = "katran-object"
katran_object = "/usr/lib/katran/balancer.bpf.o")"));
  (**facts.pins.slots.value)[SLOT_FORWARDER] = "balancer_ingres";
  facts.has_katran_object = true;
  EXPECT_EQ(complaints_of(check_lb(facts)), Complaints{});

  facts.has_katran_object = false;
  EXPECT_EQ(complaints_of(check_lb(facts)), Complaints{{"katran"}});
}

TEST(LbDoctorTest, ADaemonThatAnswersInAnotherWayIsNoCrash) {
  LbFacts facts = sound();
  (*facts.daemon.status.value)["reals"] = json::array({{{"address", "10.1.3.105"}}});

  const Findings findings = check_lb(facts);

  EXPECT_EQ(complaints_of(findings), (Complaints{{"daemon", State::kUnknown}}));
  EXPECT_TRUE(says(findings, "daemon", "another version"));
}

TEST(LbDoctorTest, AFixedGatewayNeedsNoRouter) {
  LbFacts facts = sound();
  reconfigure(facts, with_line("[lb]", "gateway_mac = \"02:00:00:00:00:01\""));
  facts.router = Router{};

  EXPECT_EQ(complaints_of(check_lb(facts)), Complaints{});
}

TEST(LbDoctorTest, AServiceOfThisHostThatNobodyServesIsFine) {
  LbFacts facts = sound();
  facts.host.addresses.value->push_back({1, *Address::parse("10.1.50.200"), 32, true});

  const Findings findings = check_lb(facts);

  EXPECT_EQ(complaints_of(findings), Complaints{});
  EXPECT_TRUE(says(findings, "service_address", "answers ARP and ping"));
}

}  // namespace
}  // namespace remora::doctor
