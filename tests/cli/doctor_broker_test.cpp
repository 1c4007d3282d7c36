// SPDX-License-Identifier: Apache-2.0
//
// Checks of a broker host: of sound hosts, and of hosts with one fault each.
#include <gtest/gtest.h>

#include <cerrno>
#include <functional>
#include <ostream>
#include <set>

#include "cli/doctor/broker_checks.h"
#include "tests/cli/complaint.h"

namespace remora::doctor {
namespace {

constexpr unsigned kLo = 1, kEth0 = 2, kIpip0 = 3;

Address at(const char* text) {
  return *Address::parse(text);
}

const Address kService = at("10.1.50.200"), kService6 = at("fc00:50::200");
const Address kClient = at("198.51.100.1");

Interface lo() {
  return {.index = kLo, .name = "lo", .is_up = true, .is_loopback = true, .answers_arp = false};
}

Interface eth0() {
  return {.index = kEth0, .name = "eth0", .is_up = true, .has_carrier = true, .mtu = 1500};
}

Interface tunnel(const char* kind) {
  return {.index = kIpip0,
          .name = std::string(kind) + "0",
          .kind = kind,
          .is_up = true,
          .has_carrier = true,
          .answers_arp = false,
          .mtu = 1480,
          .takes_any_source = true};
}

RouteAnswer by_the_gateway(std::uint32_t advmss) {
  return {.interface_index = kEth0, .gateway = at("10.1.3.1"), .advmss = advmss};
}

// The configuration file names the service and is in force, so the doctor checks the service.
void serve(BrokerFacts& facts, const ServiceAt& service) {
  facts.config.value->services = {service};
  facts.decap = DecapState{.services = std::vector{service}};
  facts.services = {service};
}

// A sound host with the decap program and a configuration file that names the service.
BrokerFacts sound() {
  BrokerFacts facts;
  facts.host.kernel_release = "6.1.0-23-amd64";
  facts.host.kernel = {6, 1};
  facts.host.interfaces = std::vector{lo(), eth0()};
  facts.host.addresses = std::vector{InterfaceAddress{kEth0, at("10.1.3.101"), 24, true},
                                     InterfaceAddress{kLo, kService, 32, true}};
  facts.host.sysctls = {
      {"net/ipv4/conf/all/rp_filter", 0},     {"net/ipv4/conf/eth0/rp_filter", 0},
      {"net/ipv4/conf/ipip0/rp_filter", 0},   {"net/ipv4/conf/all/arp_ignore", 1},
      {"net/ipv4/conf/eth0/arp_ignore", 0},   {"net/ipv4/conf/all/arp_announce", 2},
      {"net/ipv4/conf/eth0/arp_announce", 0}, {"net/ipv6/conf/lo/disable_ipv6", 0},
      {"net/ipv6/conf/eth0/disable_ipv6", 0}};
  facts.config_file = "/etc/remora/decap.toml";
  facts.config = DecapConfig{};
  serve(facts, {kService, 1883});
  facts.interface_name = "eth0";
  facts.interface = eth0();
  facts.xdp = AttachedXdp{.native_id = 7, .native_name = "xdp_decap"};
  facts.listeners = std::vector{Listener{at("0.0.0.0"), 1883, {}}};
  facts.arrivals = std::vector{Arrival{"eth0", false, kClient, kService, {.is_local = true}}};
  facts.ways_back = std::map<Address, RouteAnswer>{{kService, by_the_gateway(1440)}};
  return facts;
}

// A sound host with the kernel's device instead of the decap program.
BrokerFacts sound_with(const Interface& device) {
  BrokerFacts facts = sound();
  facts.config_file.clear();
  facts.config = Fact<DecapConfig>();
  facts.host.interfaces = std::vector{lo(), eth0(), device};
  facts.question.services = facts.services;
  facts.xdp = AttachedXdp{};
  facts.decap = Fact<DecapState>();
  facts.guarded_interfaces = std::set{device.name};
  facts.arrivals =
      std::vector{Arrival{device.name, false, kClient, kService, {.is_local = true}},
                  Arrival{"eth0", true, at("172.16.0.1"), at("10.1.3.101"), {.is_local = true}}};
  return facts;
}

BrokerFacts sound_with_vip() {
  BrokerFacts facts = sound();
  facts.config.value->vips = {{at("10.1.50.201"), kService, 0}};
  facts.decap.value->vips = {{at("10.1.50.201"), kService, 0}};
  return facts;
}

void serve_ipv6(BrokerFacts& facts) {
  serve(facts, {kService6, 1883});
  facts.host.addresses = std::vector{InterfaceAddress{kEth0, at("fc00:3::101"), 64, true},
                                     InterfaceAddress{kLo, kService6, 128, true}};
  facts.listeners = std::vector{Listener{at("::"), 1883, false}};
  facts.ways_back = std::map<Address, RouteAnswer>{{kService6, by_the_gateway(1400)}};
  facts.arrivals = std::vector<Arrival>{};
}

void set(BrokerFacts& facts, const char* path, long value) {
  facts.host.sysctls[path] = value;
}

TEST(BrokerDoctorTest, SoundHostsAreOk) {
  EXPECT_EQ(complaints_of(check_broker(sound())), Complaints{});
  EXPECT_EQ(complaints_of(check_broker(sound_with(tunnel("ipip")))), Complaints{});
  EXPECT_EQ(complaints_of(check_broker(sound_with_vip())), Complaints{});
  BrokerFacts ipv6 = sound();
  serve_ipv6(ipv6);
  EXPECT_EQ(complaints_of(check_broker(ipv6)), Complaints{});
  EXPECT_GT(check_broker(sound()).size(), 10u);
}

struct Break {
  const char* what;
  std::function<BrokerFacts()> host;
  std::function<void(BrokerFacts&)> happen;
  Complaint complaint;
  const char* words;
};

// Without this GoogleTest prints the bytes, which differ from run to run.
void PrintTo(const Break& broken, std::ostream* out) {
  *out << broken.what;
}

const auto sound_with_ipip = [] { return sound_with(tunnel("ipip")); };
const auto sound_with_ip6tnl = [] { return sound_with(tunnel("ip6tnl")); };
const auto sound_with_ipv6 = [] {
  BrokerFacts facts = sound();
  serve_ipv6(facts);
  return facts;
};

const Break kBreaks[] = {
    {"OldKernel",
     sound,
     [](BrokerFacts& f) {
       f.host.kernel = {5, 10};
     },
     {"kernel"},
     "5.18"},
    {"WrongFile",
     sound,
     [](BrokerFacts& f) { f.config = Fact<DecapConfig>::missing("decap.toml:3: no"); },
     {"config"},
     "decap.toml:3: no # remora-decap --check /etc/remora/decap.toml"},
    {"ServiceNotKnown",
     sound,
     [](BrokerFacts& f) { f.services.clear(); },
     {"service", State::kUnknown},
     "--service ADDRESS:PORT"},
    {"NoInterface",
     sound,
     [](BrokerFacts& f) {
       f.interface.reset();
       f.interface_name.clear();
     },
     {"interface", State::kUnknown},
     "--interface"},
    {"InterfaceDown",
     sound,
     [](BrokerFacts& f) { f.interface->is_up = false; },
     {"interface"},
     "ip link set eth0 up"},
    {"DecapOff",
     sound,
     [](BrokerFacts& f) { f.xdp = AttachedXdp{}; },
     {"outer_header"},
     "nothing removes # remora-decap eth0"},
    {"DecapOffAndPacketsCame",
     sound,
     [](BrokerFacts& f) {
       f.xdp = AttachedXdp{};
       f.host.network_counters["Ip.InUnknownProtos"] = 5;
     },
     {"outer_header"},
     "5 packets of an unknown protocol have arrived"},
    {"ForeignProgram",
     sound,
     [](BrokerFacts& f) { f.xdp = AttachedXdp{.native_id = 3, .native_name = "xdp_pass"}; },
     {"outer_header"},
     "\"xdp_pass\" on eth0 is not ours"},
    {"DecapInAnotherMode",
     sound,
     [](BrokerFacts& f) { f.xdp = AttachedXdp{.generic_id = 7, .generic_name = "xdp_decap"}; },
     {"outer_header", State::kWarning},
     "remora-decap --generic --detach eth0 && remora-decap eth0"},
    {"XdpMayNotBeAsked",
     sound,
     [](BrokerFacts& f) { f.xdp = Fact<AttachedXdp>::missing("Operation not permitted"); },
     {"outer_header", State::kUnknown},
     "not permitted"},
    {"DeviceDown",
     sound_with_ipip,
     [](BrokerFacts& f) { f.host.interfaces.value->back().is_up = false; },
     {"outer_header"},
     "ip link set ipip0 up"},
    {"DeviceOfOneSource",
     sound_with_ipip,
     [](BrokerFacts& f) { f.host.interfaces.value->back().takes_any_source = false; },
     {"outer_header"},
     "packets from one source only"},
    {"DeviceOfTheOtherFamily",
     sound_with_ipv6,
     [](BrokerFacts& f) {
       f.xdp = AttachedXdp{};
       f.host.interfaces.value->push_back(tunnel("ipip"));
     },
     {"outer_header"},
     "nothing removes"},
    {"VipsWithoutDecap",
     sound_with_vip,
     [](BrokerFacts& f) {
       f.xdp = AttachedXdp{};
       f.host.interfaces.value->push_back(tunnel("ipip"));
       f.guarded_interfaces = std::set<std::string>{"ipip0"};
     },
     {"outer_header"},
     "packets for VIPs are lost"},
    {"VipNotInForce",
     sound_with_vip,
     [](BrokerFacts& f) { f.decap.value->vips.clear(); },
     {"vips"},
     "10.1.50.201 is in the file but not in force: its packets are dropped # remora-decap eth0"},
    {"VipOfAnotherService",
     sound_with_vip,
     [](BrokerFacts& f) { f.decap.value->vips.front().service = at("10.1.50.199"); },
     {"vips"},
     "becomes 10.1.50.199, not 10.1.50.200"},
    {"VipNotInTheFile",
     sound_with_vip,
     [](BrokerFacts& f) {
       f.decap.value->vips.push_back({at("10.1.50.209"), kService, 1883});
     },
     {"vips", State::kWarning},
     "10.1.50.209:1883 is in force but not in the file"},
    {"GroupWithoutAnEntry",
     sound_with_vip,
     [](BrokerFacts& f) { f.question.vips = {at("10.1.50.202")}; },
     {"vips"},
     "10.1.50.202 has no entry"},
    {"ServiceNotInForce",
     sound,
     [](BrokerFacts& f) { f.decap.value->services->clear(); },
     {"services"},
     "10.1.50.200:1883 is in the file but not in force: its packets are dropped # remora-decap "
     "eth0"},
    {"ServiceNotInTheFile",
     sound,
     [](BrokerFacts& f) {
       f.services.push_back({at("10.1.50.210"), 1883});
       f.host.addresses.value->push_back({kLo, at("10.1.50.210"), 32, true});
       f.question.services = {{at("10.1.50.210"), 1883}};
     },
     {"services"},
     "Add a [[service]] to /etc/remora/decap.toml, then # remora-decap --service 10.1.50.210:1883 "
     "eth0"},
    {"AnotherServiceInForce",
     sound,
     [](BrokerFacts& f) {
       f.decap.value->services->push_back({kService, 22});
     },
     {"services", State::kWarning},
     "10.1.50.200:22 is in force, but neither the file nor the command line names it"},
    {"DecapOfAnEarlierVersion",
     sound,
     [](BrokerFacts& f) { f.decap.value->services.reset(); },
     {"services", State::kWarning},
     "passes inner packets to any address"},
    {"OtherSourcesInForce",
     sound,
     [](BrokerFacts& f) { f.config.value->from = {*Prefix::parse("172.16.0.0/16")}; },
     {"sources", State::kWarning},
     "are not those of `from`"},
    {"PacketsForNoService",
     sound,
     [](BrokerFacts& f) { f.decap.value->no_service = 7; },
     {"refused", State::kWarning},
     "7 since the program was attached, because they were for no service"},
    {"PacketsOfForeignSources",
     sound,
     [](BrokerFacts& f) { f.decap.value->foreign_source = 8; },
     {"refused", State::kWarning},
     "8 since the program was attached, because their outer source"},
    {"DeviceThatLetsEverythingThrough",
     sound_with_ipip,
     [](BrokerFacts& f) { f.guarded_interfaces.value->clear(); },
     {"fence", State::kWarning},
     "add rule inet remora inner iifname \"ipip0\" ip daddr 10.1.50.200 tcp dport 1883 accept; "
     "add rule inet remora inner iifname \"ipip0\" ip daddr 10.1.50.200 icmp type "
     "destination-unreachable accept; add rule inet remora inner iifname \"ipip0\" counter drop'"},
    {"RulesMayNotBeRead",
     sound_with_ipip,
     [](BrokerFacts& f) {
       f.guarded_interfaces = Fact<std::set<std::string>>::missing("Operation not permitted");
     },
     {"fence", State::kUnknown},
     "not permitted"},
    {"Fragments",
     sound,
     [](BrokerFacts& f) { f.host.network_counters["Ip.ReasmReqds"] = 8; },
     {"fragments", State::kWarning},
     "8 since boot"},
    {"SmallMtu",
     sound,
     [](BrokerFacts& f) { f.interface->mtu = 1400; },
     {"mtu", State::kWarning},
     "ip link set eth0 mtu 1500"},
    {"ServiceMissing",
     sound,
     [](BrokerFacts& f) {
       f.host.addresses.value->pop_back();
       f.arrivals = std::vector<Arrival>{};
     },
     {"service_address"},
     "ip address add 10.1.50.200/32 dev lo"},
    {"ServiceTentative",
     sound_with_ipv6,
     [](BrokerFacts& f) { f.host.addresses.value->back().is_usable = false; },
     {"service_address"},
     "nodad"},
    {"ServiceOnTheLink",
     sound,
     [](BrokerFacts& f) { f.host.addresses.value->back().interface_index = kEth0; },
     {"arp"},
     "ip address del 10.1.50.200/32 dev eth0 && ip address add 10.1.50.200/32 dev lo"},
    {"Ipv6ServiceOnTheLink",
     sound_with_ipv6,
     [](BrokerFacts& f) { f.host.addresses.value->back().interface_index = kEth0; },
     {"arp"},
     "is announced by neighbour discovery"},
    {"ServiceOnTheLinkToo",
     sound,
     [](BrokerFacts& f) {
       f.host.addresses.value->push_back({kEth0, kService, 32, true});
     },
     {"arp"},
     "# ip address del 10.1.50.200/32 dev eth0\n"},
    {"ArpIgnoreOff",
     sound,
     [](BrokerFacts& f) { set(f, "net/ipv4/conf/all/arp_ignore", 0); },
     {"arp", State::kWarning},
     "sysctl -w net.ipv4.conf.all.arp_ignore=1"},
    {"ArpIgnoreOffWithTheServiceInTheNetwork",
     sound,
     [](BrokerFacts& f) {
       set(f, "net/ipv4/conf/all/arp_ignore", 0);
       f.host.addresses.value->front().prefix_length = 16;
     },
     {"arp"},
     "it is in a network of that interface"},
    {"ArpAnnounceOff",
     sound,
     [](BrokerFacts& f) { set(f, "net/ipv4/conf/all/arp_announce", 0); },
     {"arp", State::kWarning},
     "sysctl -w net.ipv4.conf.all.arp_announce=2"},
    {"StrictFilterAndAnswersLeaveElsewhere",
     sound,
     [](BrokerFacts& f) {
       set(f, "net/ipv4/conf/all/rp_filter", 1);
       f.arrivals.value->front().route.refused = EXDEV;
       f.host.network_counters["TcpExt.IPReversePathFilter"] = 9;
     },
     {"rp_filter"},
     "answers leave elsewhere (so far 9 packets) # sysctl -w net.ipv4.conf.all.rp_filter=0"},
    {"StrictFilterThatLetsPass",
     sound,
     [](BrokerFacts& f) { set(f, "net/ipv4/conf/eth0/rp_filter", 1); },
     {"rp_filter", State::kWarning},
     "sysctl -w net.ipv4.conf.eth0.rp_filter=0"},
    {"StrictFilterOfTheDevice",
     sound_with_ipip,
     [](BrokerFacts& f) {
       set(f, "net/ipv4/conf/ipip0/rp_filter", 1);
       f.arrivals.value->front().route.refused = EXDEV;
     },
     {"rp_filter"},
     "net.ipv4.conf.ipip0.rp_filter=0"},
    {"FilterNotShown",
     sound,
     [](BrokerFacts& f) { f.host.sysctls.erase("net/ipv4/conf/eth0/rp_filter"); },
     {"rp_filter", State::kUnknown},
     "does not show"},
    {"Ipv6Off",
     sound_with_ipv6,
     [](BrokerFacts& f) { set(f, "net/ipv6/conf/lo/disable_ipv6", 1); },
     {"ipv6"},
     "sysctl -w net.ipv6.conf.lo.disable_ipv6=0"},
    {"NobodyListens",
     sound,
     [](BrokerFacts& f) { f.listeners = std::vector<Listener>{}; },
     {"listener"},
     "10.1.50.200:1883 has no listener"},
    {"ListensElsewhere",
     sound,
     [](BrokerFacts& f) { f.listeners.value->front().address = at("127.0.0.1"); },
     {"listener"},
     "listens on 127.0.0.1 only"},
    {"ListensOnIpv4Alone",
     sound_with_ipv6,
     [](BrokerFacts& f) { f.listeners.value->front().address = at("0.0.0.0"); },
     {"listener"},
     "listens on 0.0.0.0 only"},
    {"ListensOnIpv6Alone",
     sound,
     [](BrokerFacts& f) {
       f.listeners = std::vector{Listener{at("::"), 1883, false}};
     },
     {"listener"},
     "listens on :: only"},
    {"ListensOnIpv6AndPerhapsOnIpv4",
     sound,
     [](BrokerFacts& f) {
       f.listeners = std::vector{Listener{at("::"), 1883, {}}};
     },
     {"listener", State::kUnknown},
     "whether it accepts IPv4"},
    {"PortNotSaid",
     sound,
     [](BrokerFacts& f) {
       f.services = {{kService, 0}};
       f.listeners.value->front().port = 8883;
     },
     {"listener", State::kUnknown},
     "another port"},
    {"NoWayBack",
     sound,
     [](BrokerFacts& f) { f.ways_back.value->at(kService).refused = ENETUNREACH; },
     {"way_back"},
     "leads nowhere: Network is unreachable"},
};

class BrokerDoctorBreakTest : public testing::TestWithParam<Break> {};

TEST_P(BrokerDoctorBreakTest, IsNamedAndNothingElse) {
  BrokerFacts facts = GetParam().host();
  GetParam().happen(facts);

  const Findings findings = check_broker(facts);

  EXPECT_EQ(complaints_of(findings), Complaints{GetParam().complaint});
  EXPECT_TRUE(says(findings, GetParam().complaint.check, GetParam().words));
}

INSTANTIATE_TEST_SUITE_P(All, BrokerDoctorBreakTest, testing::ValuesIn(kBreaks),
                         [](const auto& test) { return test.param.what; });

TEST(BrokerDoctorTest, TheDeviceOfIpv6ServesBothFamilies) {
  EXPECT_EQ(complaints_of(check_outer_header(sound_with_ip6tnl())), Complaints{});
  BrokerFacts ipv6 = sound_with_ip6tnl();
  ipv6.services = {{kService6, 1883}};
  EXPECT_EQ(complaints_of(check_outer_header(ipv6)), Complaints{});
}

TEST(BrokerDoctorTest, AListenerForBothFamiliesServesIpv4) {
  BrokerFacts facts = sound();
  facts.listeners = std::vector{Listener{at("::"), 1883, true}};

  EXPECT_EQ(complaints_of(check_broker(facts)), Complaints{});
}

TEST(BrokerDoctorTest, TheLooseFilterLetsPacketsPass) {
  BrokerFacts facts = sound_with_ipip();
  set(facts, "net/ipv4/conf/all/rp_filter", 2);

  EXPECT_EQ(complaints_of(check_broker(facts)), Complaints{});
}

TEST(BrokerDoctorTest, WithoutAdvmssItAdvisesOne) {
  BrokerFacts facts = sound();
  facts.ways_back.value->at(kService).advmss.reset();
  const Findings ipv4 = check_broker(facts);
  EXPECT_EQ(complaints_of(ipv4), Complaints{}) << "clients learn by ICMP";
  EXPECT_TRUE(says(ipv4, "mtu", "ip route change default via 10.1.3.1 dev eth0 advmss 1440"));

  serve_ipv6(facts);
  facts.ways_back.value->at(kService6) = {.interface_index = kEth0, .gateway = at("fc00:3::1")};
  EXPECT_TRUE(says(check_broker(facts), "mtu",
                   "ip -6 route change default via fc00:3::1 dev eth0 "
                   "advmss 1400"));
}

TEST(BrokerDoctorTest, LargerLinksNeedNoAdvmss) {
  BrokerFacts facts = sound();
  facts.ways_back.value->at(kService).advmss.reset();
  facts.interface->mtu = 1520;

  const Findings findings = check_broker(facts);

  EXPECT_EQ(complaints_of(findings), Complaints{});
  EXPECT_TRUE(says(findings, "mtu", "if all links from the load balancer"));
}

TEST(ServiceAtTest, IsReadAsItIsWritten) {
  for (const char* text : {"10.1.50.200:1883", "[fc00:50::200]:8883", "10.1.50.200", "fc00::1"}) {
    const auto service = parse_service(text);
    ASSERT_TRUE(service) << text;
    EXPECT_EQ(to_string(*service), text);
  }
  EXPECT_EQ(parse_service("10.1.50.200:1883")->port, 1883);
  for (const char* text : {"", ":1883", "10.1.50.200:", "10.1.50.200:0", "10.1.50.200:70000",
                           "10.1.50.200:1883x", "broker:1883", "[fc00::1]", "fc00::1]:1883"}) {
    EXPECT_FALSE(parse_service(text)) << text;
  }
}

}  // namespace
}  // namespace remora::doctor
