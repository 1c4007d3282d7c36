// SPDX-License-Identifier: Apache-2.0
//
// The kernel routes check addresses to the LB's interface. Needs root.
#include "daemon/kernel/health_routes.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <string>

#include "tests/daemon/lb_network.h"

namespace remora {
namespace {

class CheckRoutesTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    network_.emplace();
  }

  static void run(const std::string& command) { LbNetwork::run(command); }
  static bool works(const std::string& command) {
    try {
      run(command);
      return true;
    } catch (const std::runtime_error&) {
      return false;
    }
  }
  void expect_all_there() {
    run("ip route get 198.18.200.9 | grep -q 'dev lb src 10.1.2.2'");
    run("ip -6 route get fd72:656d:6f72:6100::9:9 | grep -q 'dev lb .*src fc00:2::2'");
    run("ip neighbour show 198.18.0.1 dev lb | grep -q PERMANENT");
    run("ip neighbour show fd72:656d:6f72:6100::1 dev lb | grep -q PERMANENT");
  }
  void set() { set_check_routes(network_->lb_index(), networks_); }

  std::optional<LbNetwork> network_;
  std::array<Prefix, 2> networks_{*Prefix::parse("198.18.0.0/16"),
                                  *Prefix::parse("fd72:656d:6f72:6100::/64")};
};

TEST_F(CheckRoutesTest, LeadOutOfTheInterfaceWithoutADefaultRoute) {
  set();
  expect_all_there();

  set();
  expect_all_there();
}

TEST_F(CheckRoutesTest, AreReplacedAndRemoved) {
  set();
  const std::array other{*Prefix::parse("198.19.0.0/24")};
  set_check_routes(network_->lb_index(), other);
  run("ip route get 198.19.0.9 | grep -q 'dev lb'");
  EXPECT_FALSE(works("ip route get 198.18.200.9"));
  EXPECT_FALSE(works("ip -6 route get fd72:656d:6f72:6100::9:9"));
  EXPECT_FALSE(
      works("ip neighbour show | grep -q 'PERMANENT' && ip -6 neighbour | grep -q lladdr"));

  run("ip route add 10.9.0.0/16 via 10.1.2.1");
  set_check_routes(network_->lb_index(), {});
  run("! ip route show | grep -q 'proto 114'");
  run("! ip neighbour show | grep -q PERMANENT");
  run("ip route show 10.9.0.0/16 | grep -q 10.1.2.1");
}

TEST_F(CheckRoutesTest, AForeignRouteToTheNetworkIsLeftAlone) {
  run("ip link add elsewhere up type veth peer name other");
  run("ip route add 198.18.0.0/16 dev elsewhere");
  try {
    set();
    FAIL() << "it is not refused";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(),
                 "cannot route the check addresses 198.18.0.0/16 to lb: File exists; something "
                 "else uses this network: give \"networks\" of [health] another one");
  }
  run("ip route show 198.18.0.0/16 | grep -q 'dev elsewhere'");
}

TEST_F(CheckRoutesTest, ComeBackAfterTheInterfaceWasDown) {
  set();
  run("ip link set lb down");
  EXPECT_FALSE(restore_check_routes(network_->lb_index(), networks_));
  run("ip link set lb up && ip address replace fc00:2::2/64 dev lb nodad");

  EXPECT_TRUE(restore_check_routes(network_->lb_index(), networks_));
  EXPECT_TRUE(restore_check_routes(network_->lb_index(), networks_)) << "nothing is missing";
  expect_all_there();
}

}  // namespace
}  // namespace remora
