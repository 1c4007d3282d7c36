// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstring>
#include <unordered_set>

namespace remora {
namespace {

Address address_of(std::string_view text) {
  return Address::parse(text).value();
}

TEST(AddressTest, Ipv4IsKeptAsTheAbiWantsIt) {
  const Address address = address_of("10.1.3.101");

  const std::array<std::uint8_t, 16> expected = {0, 0, 0,    0,    0,  0, 0, 0,
                                                 0, 0, 0xff, 0xff, 10, 1, 3, 101};
  EXPECT_EQ(std::memcmp(&address.abi(), expected.data(), expected.size()), 0);
  EXPECT_TRUE(address.is_ipv4());
  EXPECT_EQ(address.ipv4(), inet_addr("10.1.3.101"));
  EXPECT_EQ(address, Address::from_ipv4(inet_addr("10.1.3.101")));
  EXPECT_EQ(address, Address(address.abi()));
}

TEST(AddressTest, TextComesBackAsItIsUsuallyWritten) {
  const std::pair<const char*, const char*> cases[] = {
      {"10.1.3.101", "10.1.3.101"},
      {"0.0.0.0", "0.0.0.0"},
      {"::ffff:10.1.3.1", "10.1.3.1"},
      {"fc00::1", "fc00::1"},
      {"FC00:0:0::0:1", "fc00::1"},
      {"::", "::"},
      // RFC 5952 §4: no leading zeros, lower case. `::` replaces the longest run of
      // zeros, the first of two equal ones, and never a single field.
      {"2001:0DB8::0001", "2001:db8::1"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(to_string(address_of(text)), expected);
}

TEST(AddressTest, OtherTextIsNoAddress) {
  const std::string_view cases[] = {
      "",
      "10.1.3",
      "10.1.3.256",
      "10.1.3.1/24",
      "10.1.3.1 ",
      " 10.1.3.1",
      "10.1.3.1:80",
      "010.1.3.1",
      "fc00::1%0",
      "fc00::1::",
      "[fc00::1]",
      "broker1",
      ":::",
      "1:2:3:4:5:6:7:8:9",
      std::string_view("10.1.3.1\0", 9),
  };
  for (const std::string_view text : cases) EXPECT_FALSE(Address::parse(text)) << text;
  EXPECT_FALSE(Address::parse(std::string(10'000, '1')));
}

TEST(AddressTest, KnowsAddressesThatAreNoHosts) {
  EXPECT_TRUE(Address().is_unspecified());
  EXPECT_TRUE(address_of("0.0.0.0").is_unspecified());
  EXPECT_TRUE(address_of("127.1.2.3").is_loopback());
  EXPECT_TRUE(address_of("::1").is_loopback());
  EXPECT_TRUE(address_of("224.0.0.1").is_multicast());
  EXPECT_TRUE(address_of("239.255.255.255").is_multicast());
  EXPECT_TRUE(address_of("255.255.255.255").is_multicast());
  EXPECT_TRUE(address_of("ff02::1").is_multicast());

  for (const char* text : {"10.1.3.101", "223.255.255.255", "128.0.0.1", "fc00::1"}) {
    EXPECT_FALSE(address_of(text).is_unspecified()) << text;
    EXPECT_FALSE(address_of(text).is_loopback()) << text;
    EXPECT_FALSE(address_of(text).is_multicast()) << text;
  }
}

TEST(AddressTest, KnowsIpv6AddressesOfOneLink) {
  EXPECT_TRUE(address_of("fe80::1").is_link_local());
  EXPECT_TRUE(address_of("febf::1").is_link_local());
  for (const char* text : {"fec0::1", "fe7f::1", "fc00::1", "10.1.3.1"})
    EXPECT_FALSE(address_of(text).is_link_local()) << text;
}

TEST(AddressTest, SortsByBytesAndHashes) {
  EXPECT_LT(address_of("10.1.3.9"), address_of("10.1.3.10"));
  EXPECT_LT(address_of("9.255.255.255"), address_of("10.0.0.0"));
  EXPECT_LT(address_of("255.0.0.0"), address_of("fc00::1"));

  const std::unordered_set<Address> set = {address_of("10.1.3.1"), address_of("10.1.3.2"),
                                           address_of("::ffff:10.1.3.1")};
  EXPECT_EQ(set.size(), 2u);
  EXPECT_TRUE(set.contains(address_of("10.1.3.2")));
}

TEST(MacAddressTest, ParsesAndPrints) {
  const auto mac = MacAddress::parse("02:42:aC:11:00:fF");

  ASSERT_TRUE(mac);
  EXPECT_EQ(mac->bytes(), (std::array<std::uint8_t, 6>{0x02, 0x42, 0xac, 0x11, 0x00, 0xff}));
  EXPECT_EQ(to_string(*mac), "02:42:ac:11:00:ff");
}

TEST(MacAddressTest, RefusesOtherText) {
  for (const char* text : {"", "02:42:ac:11:00", "02:42:ac:11:00:ff:01", "02-42-ac-11-00-ff",
                           "0242ac1100ff", "2:42:ac:11:0:ff", "02:42:ac:11:00:fg", "auto"})
    EXPECT_FALSE(MacAddress::parse(text)) << text;
}

TEST(MacAddressTest, KnowsAddressesThatAreNoHosts) {
  EXPECT_TRUE(MacAddress().is_zero());
  EXPECT_TRUE(MacAddress::parse("ff:ff:ff:ff:ff:ff")->is_multicast());
  EXPECT_TRUE(MacAddress::parse("01:00:5e:00:00:01")->is_multicast());
  EXPECT_FALSE(MacAddress::parse("02:42:ac:11:00:01")->is_multicast());
  EXPECT_FALSE(MacAddress::parse("02:42:ac:11:00:01")->is_zero());
}

}  // namespace
}  // namespace remora
