// SPDX-License-Identifier: Apache-2.0
//
// Which real gets a routed client's session, and from which address of the LB.
#include "daemon/routing/real_choice.h"

#include <gtest/gtest.h>

#include <map>

namespace remora {
namespace {

Address numbered(unsigned number) {
  return *Address::parse("10.1.3." + std::to_string(number));
}

std::vector<RealChoice> three_reals() {
  std::vector<RealChoice> reals;
  for (const unsigned number : {1U, 2U, 3U})
    reals.push_back({Endpoint::at(numbered(number), 1883), number});
  return reals;
}

TEST(RealChoiceTest, ClientsAreSpreadByWeight) {
  constexpr std::uint64_t kClients = 60'000;
  std::map<Address, int> clients;
  for (std::uint64_t key = 1; key <= kClients; ++key)
    ++clients[choose_real(three_reals(), key, 0)->at.address];

  for (const unsigned weight : {1U, 2U, 3U})
    EXPECT_NEAR(clients[numbered(weight)], 10'000.0 * weight, 600.0);
}

TEST(RealChoiceTest, OnlyClientsOfARealThatIsGoneGoElsewhere) {
  std::vector<RealChoice> fewer = three_reals();
  fewer.erase(fewer.begin());
  for (std::uint64_t key = 1; key <= 1000; ++key) {
    const RealChoice before = *choose_real(three_reals(), key, 0);
    const RealChoice after = *choose_real(fewer, key, 0);
    if (before.at.address != numbered(1)) {
      EXPECT_EQ(after, before);
    } else {
      EXPECT_EQ(after, *choose_real(three_reals(), key, 1));  // its second choice
    }
  }
}

TEST(RealChoiceTest, WithoutRealsThereIsNoChoice) {
  EXPECT_FALSE(choose_real({}, 1, 0));
}

TEST(SourceChoiceTest, SessionsAreSpreadOverTheAddressesOfTheRealsFamily) {
  const std::vector sources{numbered(10), *Address::parse("fc00::1"), numbered(11)};
  std::map<std::optional<Address>, int> sessions;
  for (std::uint64_t key = 1; key <= 1000; ++key) {
    const auto first = choose_source(sources, numbered(1), key, 0);
    EXPECT_NE(choose_source(sources, numbered(1), key, 1), first);
    ++sessions[first];
  }

  EXPECT_EQ(sessions.size(), 2U);
  EXPECT_NEAR(sessions[numbered(10)], 500.0, 80.0);
  EXPECT_EQ(choose_source(sources, *Address::parse("fc00::2"), 1, 0), Address::parse("fc00::1"));
  EXPECT_FALSE(choose_source({}, numbered(1), 1, 0));
}

}  // namespace
}  // namespace remora
