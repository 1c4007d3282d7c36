// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/endpoint.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

TEST(EndpointTest, ComesBackFromItsText) {
  for (const char* text : {"10.1.50.200:1883", "[2001:db8::1]:1883", "[::1]:65535", "0.0.0.0:0"}) {
    const auto parsed = Endpoint::parse(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(to_string(*parsed), text);
  }
}

TEST(EndpointTest, AnythingElseIsNone) {
  for (const char* text :
       {"", ":", "mqtt", "10.1.50.200", "10.1.50.200:", "10.1.50.200:65536", "10.1.50.200:-1",
        "10.1.50.200:1883 ", "10.1.50.200:01883", "[10.1.50.200]:1883", "2001:db8::1:1883",
        "[2001:DB8::1]:1883", "[2001:db8::1:1883", "mqtt:1883"}) {
    EXPECT_FALSE(Endpoint::parse(text)) << text;
  }
}

TEST(EndpointTest, APortMakesADifference) {
  EXPECT_EQ(Endpoint::parse("10.1.50.200:1883"),
            Endpoint::at(*Address::parse("10.1.50.200"), 1883));
  EXPECT_NE(Endpoint::parse("10.1.50.200:1883"), Endpoint::parse("10.1.50.200:1884"));
}

}  // namespace
}  // namespace remora
