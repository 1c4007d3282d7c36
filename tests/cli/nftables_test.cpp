// SPDX-License-Identifier: Apache-2.0
//
// nftables rules as the kernel hands them out; nft(8) writes them, in a namespace of its own.
#include "cli/doctor/nftables.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <set>
#include <string>
#include <thread>

namespace remora::doctor {
namespace {

using Names = std::set<std::string>;

// Runs `test` on a thread that has moved into a new network namespace.
template <class Test>
void in_a_new_network(Test&& test) {
  std::thread([&] {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    test();
  }).join();
}

void nft(const std::string& commands) {
  ASSERT_EQ(std::system(("nft '" + commands + "'").c_str()), 0) << commands;
}

const std::string kChain =
    "add table inet t; add chain inet t c { type filter hook prerouting priority raw; }; ";

class NftablesTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
  }
};

TEST_F(NftablesTest, WithoutRulesNothingIsGuarded) {
  in_a_new_network([] { EXPECT_EQ(interfaces_with_drop_rules(), Names{}); });
}

TEST_F(NftablesTest, ARuleThatDropsGuardsTheInterfaceThatItNames) {
  in_a_new_network([] {
    nft(kChain +
        "add rule inet t c iifname \"ipip0\" ip daddr 10.1.50.200 tcp dport 1883 accept; "
        "add rule inet t c iifname \"ipip0\" counter drop; "
        "add rule inet t c iif lo ip6 daddr fc00::1 reject");
    EXPECT_EQ(interfaces_with_drop_rules(), (Names{"ipip0", "lo"}));
  });
}

TEST_F(NftablesTest, OtherRulesGuardNothing) {
  in_a_new_network([] {
    nft(kChain +
        "add rule inet t c iifname \"ipip0\" accept; "
        "add rule inet t c iifname != \"ipip1\" drop; "
        "add rule inet t c tcp dport 22 drop; "
        "add rule inet t c meta mark 7 drop");
    EXPECT_EQ(interfaces_with_drop_rules(), Names{});
  });
}

TEST_F(NftablesTest, TablesOfEveryFamilyCount) {
  in_a_new_network([] {
    nft("add table ip t; add chain ip t c { type filter hook input priority 0; }; "
        "add rule ip t c iifname \"ipip0\" drop; "
        "add table ip6 t; add chain ip6 t c { type filter hook input priority 0; }; "
        "add rule ip6 t c iifname \"ipip6\" drop");
    EXPECT_EQ(interfaces_with_drop_rules(), (Names{"ipip0", "ipip6"}));
  });
}

}  // namespace
}  // namespace remora::doctor
