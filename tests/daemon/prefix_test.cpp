// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/prefix.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

Address at(std::string_view text) {
  return *Address::parse(text);
}

TEST(NetworkTest, IsReadAndWrittenInCidrNotation) {
  for (const char* text : {"198.18.0.0/15", "10.1.2.3/32", "0.0.0.0/0", "10.1.2.4/30", "fd00::/64",
                           "fd72:656d:6f72:6100::/56", "fc00::1/128", "::/0"}) {
    const auto network = Prefix::parse(text);
    ASSERT_TRUE(network) << text;
    EXPECT_EQ(to_string(*network), text);
  }
  for (const char* text :
       {"", "198.18.0.0", "/16", "198.18.0.0/", "198.18.0.0/33", "198.18.0.1/31", "198.18.0.0/16 ",
        "198.18.0.0/-1", "198.19.0.0/14", "fd00::1/64", "fd00::/129", "x/8", "10.0.0.0/8/8"}) {
    EXPECT_FALSE(Prefix::parse(text)) << text;
  }
}

TEST(NetworkTest, ContainsWhatHasItsPrefixAndFamily) {
  const Prefix four = *Prefix::parse("198.18.0.0/15");
  EXPECT_TRUE(four.contains(at("198.18.0.0")));
  EXPECT_TRUE(four.contains(at("198.19.255.255")));
  EXPECT_FALSE(four.contains(at("198.20.0.0")));
  EXPECT_FALSE(four.contains(at("198.17.255.255")));
  EXPECT_FALSE(four.contains(at("fd00::1")));

  const Prefix six = *Prefix::parse("fd00:0:0:8000::/49");
  EXPECT_TRUE(six.contains(at("fd00::ffff:0:0:0:1")));
  EXPECT_FALSE(six.contains(at("fd00::7fff:0:0:0:1")));
  EXPECT_FALSE(Prefix::parse("::/0")->contains(at("10.1.2.3")));
}

TEST(NetworkTest, CountsItsAddresses) {
  EXPECT_EQ(Prefix::parse("198.18.0.0/16")->size(), 65'536u);
  EXPECT_EQ(Prefix::parse("10.1.2.3/32")->size(), 1u);
  EXPECT_EQ(Prefix::parse("0.0.0.0/0")->size(), UINT32_MAX);
  EXPECT_EQ(Prefix::parse("fd00::/64")->size(), UINT32_MAX);
  EXPECT_EQ(Prefix::parse("198.18.0.0/16")->at(258), at("198.18.1.2"));
  EXPECT_EQ(Prefix::parse("fd00::/64")->at(65'538), at("fd00::1:2"));
}

}  // namespace
}  // namespace remora
