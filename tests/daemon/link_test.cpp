// SPDX-License-Identifier: Apache-2.0
//
// The daemon notices changes of the LB's interface. Needs root.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "daemon/base/driver_stats.h"
#include "daemon/base/link_follower.h"
#include "daemon/base/netlink.h"
#include "tests/daemon/lb_network.h"

namespace remora {
namespace {

constexpr unsigned kLoopback = 1;

MacAddress mac(const char* text) {
  return *MacAddress::parse(text);
}

class LinkTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    network_.emplace();
  }

  static void run(const std::string& command) { LbNetwork::run(command); }
  std::vector<Address> gateways() const { return default_gateways(network_->lb_index()); }

  using Addresses = std::vector<Address>;
  static Addresses addresses(std::initializer_list<const char*> texts) {
    Addresses all;
    for (const char* text : texts) all.push_back(*Address::parse(text));
    return all;
  }

  std::optional<LbNetwork> network_;
};

TEST_F(LinkTest, TheMtuIsReadFromTheDevice) {
  run("ip link set lb mtu 1400");

  EXPECT_EQ(find_link("lb")->mtu, 1400U);
  EXPECT_EQ(find_link("lb")->index, network_->lb_index());
  EXPECT_FALSE(find_link("no-such"));
}

TEST_F(LinkTest, TheDriverSaysWhatXdpTxHasLost) {
  EXPECT_EQ(driver_of("lb"), "veth");
  const auto errors = xdp_tx_errors("lb");
  ASSERT_TRUE(errors.contains("rx_queue_0_xdp_tx_errors")) << errors.size();
  EXPECT_EQ(errors.at("rx_queue_0_xdp_tx_errors"), 0U);
  EXPECT_THROW(driver_of("no-such"), std::system_error);
  EXPECT_THROW(xdp_tx_errors("no-such"), std::system_error);
  EXPECT_TRUE(xdp_tx_errors("lo").empty()) << "without counters of that kind";
}

TEST(DriverStatsTest, TheCountersOfOtherDriversAreKnown) {
  for (const char* name : {"rx_queue_3_xdp_tx_errors", "tx_queue_0_xdp_tx_drops", "rx_xdp_tx_err",
                           "rx7_xdp_tx_full", "rx_xdp_tx_errors"})
    EXPECT_TRUE(is_xdp_tx_error(name)) << name;
  for (const char* name : {"rx_queue_0_xdp_tx", "rx_queue_0_xdp_drops", "rx_xdp_drop", "tx_errors",
                           "tx_queue_0_xdp_xmit_errors", "rx_errors_xdp_tx"})
    EXPECT_FALSE(is_xdp_tx_error(name)) << name;
}

// The kernel processes a changed carrier in a work queue, up to a second later.
template <class Condition>
bool becomes_true(const Condition& condition) {
  constexpr int kTries = 6000, kPauseMs = 10;
  for (int i = 0; i < kTries; ++i) {
    if (condition()) return true;
    ::poll(nullptr, 0, kPauseMs);
  }
  return false;
}

TEST_F(LinkTest, ItRunsWhileItIsUpAndTheOtherEndIs) {
  const auto runs = [] { return is_running("lb"); };
  const auto stands_still = [] { return !is_running("lb"); };

  EXPECT_TRUE(becomes_true(runs));
  run("ip link set gw down");
  EXPECT_TRUE(becomes_true(stands_still));
  run("ip link set gw up");
  EXPECT_TRUE(becomes_true(runs));
  run("ip link set lb down");
  EXPECT_TRUE(becomes_true(stands_still));
  EXPECT_FALSE(is_running("no-such"));
}

TEST_F(LinkTest, TheIpv4DefaultRouteComesFirst) {
  EXPECT_EQ(gateways(), Addresses());

  run("ip -6 route add default via fe80::1 dev lb");
  EXPECT_EQ(gateways(), addresses({"fe80::1"}));

  run("ip route add default via 10.1.2.1 metric 200");
  EXPECT_EQ(gateways(), addresses({"10.1.2.1"}));

  run("ip route add default via 10.1.2.3 metric 100");
  EXPECT_EQ(gateways(), addresses({"10.1.2.3"})) << "the lowest metric counts";
}

TEST_F(LinkTest, ADefaultRouteMayHaveSeveralNextHops) {
  run("ip link add elsewhere up type veth peer name other && ip link set other up");
  run("ip address add 10.9.0.2/24 dev elsewhere");
  run("ip route add default nexthop via 10.9.0.1 nexthop via 10.1.2.1 nexthop via 10.1.2.3");
  EXPECT_EQ(gateways(), addresses({"10.1.2.1", "10.1.2.3"})) << "those of this interface";

  run("ip route del default");
  run("ip -6 route add default nexthop via fc00:2::1 dev lb nexthop via fc00:2::3 dev lb");
  EXPECT_EQ(gateways(), addresses({"fc00:2::1", "fc00:2::3"}));
}

TEST_F(LinkTest, ANextHopMayBeAnObjectOfItsOwn) {
  run("ip nexthop add id 1 via 10.1.2.1 dev lb && ip nexthop add id 2 via 10.1.2.3 dev lb");
  run("ip nexthop add id 3 group 1/2 && ip route add default nhid 3");

  EXPECT_EQ(gateways(), addresses({"10.1.2.1", "10.1.2.3"}));
}

// FRR turns the compatible mode off. The route then names only the number of the object.
TEST_F(LinkTest, ANextHopObjectIsLookedUpIfTheRouteHasOnlyItsNumber) {
  run("sysctl -qw net.ipv4.nexthop_compat_mode=0");
  run("ip link add elsewhere up type veth peer name other && ip link set other up");
  run("ip address add 10.9.0.2/24 dev elsewhere");
  run("ip nexthop add id 1 via 10.1.2.1 dev lb && ip nexthop add id 2 via 10.1.2.3 dev lb");
  run("ip nexthop add id 3 via 10.9.0.1 dev elsewhere && ip nexthop add id 4 group 1/2/3");
  run("ip nexthop add id 6 via fc00:2::1 dev lb && ip -6 route add default nhid 6");
  EXPECT_EQ(gateways(), addresses({"fc00:2::1"}));

  run("ip route add default nhid 1 metric 200");
  EXPECT_EQ(gateways(), addresses({"10.1.2.1"}));
  run("ip route add default nhid 4 metric 100");
  EXPECT_EQ(gateways(), addresses({"10.1.2.1", "10.1.2.3"})) << "those of this interface";
  run("ip route replace default nhid 6 metric 100");
  EXPECT_EQ(gateways(), addresses({"fc00:2::1"})) << "an IPv4 route by an IPv6 neighbour";
  run("ip nexthop add id 7 blackhole && ip route replace default nhid 7 metric 100");
  EXPECT_EQ(gateways(), addresses({"10.1.2.1"}));
}

TEST_F(LinkTest, AnIpv4RouteMayLeadToAnIpv6Neighbour) {
  run("ip route add default via inet6 fe80::1 dev lb");

  EXPECT_EQ(gateways(), addresses({"fe80::1"}));
}

TEST_F(LinkTest, OtherDefaultRoutesDoNotCount) {
  run("ip link add elsewhere up type veth peer name other");
  run("ip address add 10.9.0.2/24 dev elsewhere && ip route add default via 10.9.0.1");
  run("ip route add default via 10.1.2.9 table 100");
  run("ip -6 route add unreachable default");

  EXPECT_EQ(gateways(), Addresses());
}

TEST_F(LinkTest, NeighboursOfBothFamiliesAreKnown) {
  for (const char* text : {"10.1.2.1", "fe80::1", "fc00:2::1"}) {
    const Address address = *Address::parse(text);
    EXPECT_FALSE(find_neighbour(network_->lb_index(), address));

    run(std::string("ip neighbour add ") + text + " lladdr 02:00:00:00:00:01 dev lb");
    EXPECT_EQ(find_neighbour(network_->lb_index(), address),
              (Neighbour{mac("02:00:00:00:00:01"), false}))
        << text;
    EXPECT_FALSE(find_neighbour(kLoopback, address)) << text;

    run(std::string("ip neighbour replace ") + text + " lladdr 02:00:00:00:00:02 dev lb nud stale");
    EXPECT_EQ(find_neighbour(network_->lb_index(), address),
              (Neighbour{mac("02:00:00:00:00:02"), true}))
        << text;
  }
}

TEST_F(LinkTest, SolicitMakesTheKernelAsk) {
  run("ip address add fe80::2/64 dev lb nodad");
  for (const char* text : {"10.1.2.1", "fe80::1", "fc00:2::1"}) {
    solicit(network_->lb_index(), *Address::parse(text));

    // Nobody answers: after three seconds it has failed.
    run(std::string("ip neighbour show ") + text + " dev lb | grep -q 'INCOMPLETE\\|FAILED'");
  }
}

TEST_F(LinkTest, NewsOfOthersAreNone) {
  LinkNews news;

  run("ip link set lb mtu 1400");
  run("ip neighbour add 10.1.2.9 lladdr 02:00:00:00:00:09 dev lb");
  run("ip route add 10.9.0.0/16 via 10.1.2.9");

  EXPECT_FALSE(news.concern(kLoopback, addresses({"10.1.2.9"})));
}

TEST_F(LinkTest, LostNewsAreNews) {
  LinkNews news;
  const int least = 1;
  ASSERT_EQ(setsockopt(news.fd(), SOL_SOCKET, SO_RCVBUF, &least, sizeof(least)), 0);

  for (int i = 1; i < 30; ++i) {
    run("ip neighbour add 10.1.2." + std::to_string(i) + " lladdr 02:00:00:00:00:01 dev lb");
  }

  EXPECT_TRUE(news.concern(kLoopback, {}));
  EXPECT_FALSE(news.concern(kLoopback, {})) << "said once";
}

// The indexes of all links, one for each visit.
std::multiset<int> dump_links() {
  std::multiset<int> seen;
  dump<ifinfomsg>(
      RTM_GETLINK, [](ifinfomsg&) {},
      [&](const nlmsghdr& message) {
        seen.insert(static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(&message))->ifi_index);
      });
  return seen;
}

// Dumps that take several messages of the kernel, while the list changes all the time.
TEST_F(LinkTest, ADumpIsRepeatedWhenItsObjectsChangeMeanwhile) {
  constexpr int kPairs = 40, kDumps = 200;
  std::string commands;
  for (int i = 0; i < kPairs; ++i)
    commands +=
        "link add a" + std::to_string(i) + " type veth peer name b" + std::to_string(i) + "\n";
  run("ip -batch - << end\n" + commands + "end");
  const std::size_t links = dump_links().size();
  const Fd here(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(here);

  std::atomic<bool> is_over = false;
  std::thread changing([&] {
    if (setns(here.get(), CLONE_NEWNET) != 0) std::abort();
    while (!is_over) run("ip link add x type veth peer name y && ip link del x");
  });
  std::string error;
  for (int i = 0; i < kDumps && error.empty(); ++i) {
    try {
      const std::multiset<int> seen = dump_links();
      if (std::set<int>(seen.begin(), seen.end()).size() != seen.size()) error = "visited twice";
      if (seen.size() != links && seen.size() != links + 2)
        error = std::to_string(seen.size()) + " links";
    } catch (const std::exception& thrown) {
      error = thrown.what();
    }
  }
  is_over = true;
  changing.join();

  EXPECT_EQ(error, "");
}

class LinkFollowerTest : public LinkTest {
 protected:
  void SetUp() override {
    LinkTest::SetUp();
    if (IsSkipped()) return;
    follower_.emplace(
        loop_, *find_link("lb"),
        LinkFollower::Handlers{.on_mtu = [this](std::uint32_t) { loop_.stop(); },
                               .on_gateway = [this](const MacAddress&) { loop_.stop(); }});
    loop_.every(std::chrono::seconds(60), "giving up", [this] {
      ADD_FAILURE() << "no news";
      loop_.stop();
    });
  }

  // Waits for a message of the kernel: nothing else makes the follower look.
  void wait_for_news() { loop_.run(); }

  EventLoop loop_;
  std::optional<LinkFollower> follower_;
};

TEST_F(LinkFollowerTest, AChangedMtuIsHeardOf) {
  run("ip link set lb mtu 1400");
  wait_for_news();
  EXPECT_EQ(follower_->mtu(), 1400U);

  run("ip link set lb mtu 1600");
  wait_for_news();
  EXPECT_EQ(follower_->mtu(), 1600U);
}

TEST_F(LinkFollowerTest, AGatewayThatAppearsIsHeardOf) {
  for (const auto& [router, expected] :
       {std::pair("fe80::1", "02:00:00:00:00:06"), std::pair("10.1.2.1", "02:00:00:00:00:04")}) {
    run(std::string("ip neighbour add ") + router + " lladdr " + expected + " dev lb");
    run(std::string("ip route add default via ") + router + " dev lb");
    wait_for_news();
    EXPECT_EQ(follower_->gateway(), mac(expected));
  }
}

TEST_F(LinkFollowerTest, AGatewayThatAnswersIsHeardOf) {
  run("ip route add default via 10.1.2.1");
  follower_->look();
  EXPECT_FALSE(follower_->gateway());

  run("ip neighbour replace 10.1.2.1 lladdr 02:00:00:00:00:01 dev lb");
  wait_for_news();

  EXPECT_EQ(follower_->gateway(), mac("02:00:00:00:00:01"));
}

TEST_F(LinkFollowerTest, AGatewayThatMovesIsHeardOf) {
  LbNetwork::add_default_routes();
  follower_->look();

  run("ip neighbour replace 10.1.2.1 lladdr 02:00:00:00:00:77 dev lb");
  wait_for_news();

  EXPECT_EQ(follower_->gateway(), mac("02:00:00:00:00:77"));
}

TEST_F(LinkFollowerTest, OfSeveralNextHopsTheOneThatAnswersIsTheGatewayAndStays) {
  run("ip route add default nexthop via 10.1.2.1 nexthop via 10.1.2.3");
  follower_->look();
  EXPECT_FALSE(follower_->gateway());

  run("ip neighbour replace 10.1.2.3 lladdr 02:00:00:00:00:33 dev lb");
  wait_for_news();
  EXPECT_EQ(follower_->gateway(), mac("02:00:00:00:00:33"));

  run("ip neighbour replace 10.1.2.1 lladdr 02:00:00:00:00:11 dev lb");
  follower_->look();
  EXPECT_EQ(follower_->gateway(), mac("02:00:00:00:00:33"));

  run("ip neighbour del 10.1.2.3 dev lb");
  wait_for_news();
  EXPECT_EQ(follower_->gateway(), mac("02:00:00:00:00:11"));
}

// The route stays as it is, so the kernel reports the object alone.
TEST_F(LinkFollowerTest, AChangedNextHopObjectIsHeardOf) {
  run("sysctl -qw net.ipv4.nexthop_compat_mode=0");
  run("ip neighbour add 10.1.2.1 lladdr 02:00:00:00:00:11 dev lb");
  run("ip neighbour add 10.1.2.3 lladdr 02:00:00:00:00:33 dev lb");
  run("ip nexthop add id 1 via 10.1.2.1 dev lb && ip route add default nhid 1");
  wait_for_news();
  EXPECT_EQ(follower_->gateway(), mac("02:00:00:00:00:11"));

  run("ip nexthop replace id 1 via 10.1.2.3 dev lb");
  wait_for_news();
  EXPECT_EQ(follower_->gateway(), mac("02:00:00:00:00:33"));
}

TEST_F(LinkFollowerTest, AGatewayOfWhichNothingWasHeardForLongIsAskedAfter) {
  LbNetwork::add_default_routes();
  run("ip neighbour replace 10.1.2.1 lladdr 02:00:00:00:00:01 dev lb nud stale");

  follower_->look();

  EXPECT_EQ(follower_->gateway(), mac("02:00:00:00:00:01"));
  // The state changes within seconds because nobody answers.
  run("ip neighbour show 10.1.2.1 dev lb | grep -q 'DELAY\\|PROBE\\|FAILED'");
}

TEST_F(LinkFollowerTest, AGatewayThatFallsSilentStays) {
  LbNetwork::add_default_routes();
  follower_->look();

  run("ip neighbour del 10.1.2.1 dev lb && ip route del default");
  follower_->look();

  EXPECT_EQ(follower_->gateway(), mac("02:00:00:00:00:01"));
}

TEST_F(LinkFollowerTest, AGatewayThatIsLostIsAProblemUntilItIsBack) {
  const auto tick_twice = [this] {
    follower_->tick();
    follower_->tick();
  };
  ASSERT_TRUE(becomes_true([] { return is_running("lb"); }));
  tick_twice();
  EXPECT_EQ(follower_->problem(),
            "no default route with a gateway uses lb: packets for brokers are dropped; add the "
            "route, or set [lb] gateway_mac");
  LbNetwork::add_default_routes();
  follower_->tick();
  EXPECT_EQ(follower_->problem(), "");

  run("ip link add elsewhere up type veth peer name other && ip link set other up");
  run("ip address add 10.9.0.2/24 dev elsewhere && ip -6 route del default");
  run("ip route replace default via 10.9.0.1");
  follower_->look();
  follower_->tick();
  EXPECT_EQ(follower_->problem(), "") << "it may be back in a moment";
  follower_->tick();
  EXPECT_EQ(follower_->problem(),
            "no default route with a gateway uses lb: packets for brokers still go to the former "
            "gateway, 02:00:00:00:00:01; add the route, or set [lb] gateway_mac");

  run("ip route replace default via 10.1.2.3");
  tick_twice();
  EXPECT_EQ(follower_->problem(),
            "the gateway 10.1.2.3 does not answer: packets for brokers still go to the former "
            "gateway, 02:00:00:00:00:01");

  run("ip link set lb down");
  tick_twice();
  EXPECT_EQ(follower_->problem(), "lb is down or has no carrier: no packet arrives or leaves");

  run("ip link del lb");
  tick_twice();
  EXPECT_EQ(follower_->problem(), "") << "that it is gone is reported elsewhere";
}

TEST_F(LinkFollowerTest, ARenamedInterfaceIsFollowed) {
  run("ip link set lb down && ip link set lb name lb9 && ip link set lb9 mtu 1300");
  follower_->look();
  EXPECT_EQ(follower_->mtu(), 1300U);
}

TEST_F(LinkFollowerTest, AnInterfaceThatIsMadeAnewIsFollowed) {
  LbNetwork::add_default_routes();
  follower_->look();
  run("ip link del lb && ip link add between type veth peer name other");
  run("ip link add gw type veth peer name lb mtu 1400");
  run("ip link set gw up && ip link set lb up");

  follower_->move_to(*find_link("lb"));
  EXPECT_EQ(follower_->mtu(), 1400U);
  EXPECT_EQ(follower_->gateway(), mac("02:00:00:00:00:01")) << "it stays until another is known";

  run("ip address add 10.1.2.2/24 dev lb && ip route add default via 10.1.2.1");
  run("ip neighbour add 10.1.2.1 lladdr 02:00:00:00:00:77 dev lb");
  follower_->tick();
  EXPECT_EQ(follower_->gateway(), mac("02:00:00:00:00:77"));
}

TEST_F(LinkFollowerTest, ARouterThatDoesNotAnswerIsNotHeard) {
  EXPECT_FALSE(follower_->hears_gateway());
  LbNetwork::add_default_routes();
  follower_->look();
  EXPECT_TRUE(follower_->hears_gateway());

  run("ip neighbour del 10.1.2.1 dev lb");
  follower_->look();
  EXPECT_FALSE(follower_->hears_gateway());
  run("ip neighbour replace 10.1.2.1 lladdr 02:00:00:00:00:01 dev lb");
  follower_->look();
  EXPECT_TRUE(follower_->hears_gateway());

  run("ip route del default && ip -6 route del default");
  follower_->look();
  EXPECT_FALSE(follower_->hears_gateway());

  follower_->set_gateway(mac("02:00:00:00:00:99"));
  EXPECT_TRUE(follower_->hears_gateway()) << "nobody looks after a fixed one";
}

TEST_F(LinkFollowerTest, AFixedGatewayIsNotFollowed) {
  LbNetwork::add_default_routes();
  follower_->set_gateway(mac("02:00:00:00:00:99"));

  follower_->look();
  EXPECT_EQ(follower_->gateway(), mac("02:00:00:00:00:99"));

  follower_->set_gateway(std::nullopt);
  follower_->tick();
  EXPECT_EQ(follower_->gateway(), mac("02:00:00:00:00:01"));
}

}  // namespace
}  // namespace remora
