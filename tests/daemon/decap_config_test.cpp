// SPDX-License-Identifier: Apache-2.0
//
// The configuration of a broker's decapsulation.
#include "cli/decap_config.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

std::string problems_of(std::string_view text) {
  try {
    parse_decap_config(text, "decap.toml");
    return "";
  } catch (const ConfigError& error) {
    return error.what();
  }
}

ServiceAt at(const char* text) {
  return *parse_service(text);
}

TEST(DecapConfigTest, HoldsWhatTheFileSays) {
  const DecapConfig config = parse_decap_config(R"(
interface = "eth0"
xdp_mode = "generic"
from = [ "172.16.0.0/16", "100::/64", "172.16.0.0/16" ]
[[service]]
address = "10.1.50.200"
port = 8883
[[service]]
address = "10.1.50.200"
port = 1883
[[vip]]
vip = "10.1.50.201"
service = "10.1.50.200"
[[vip]]
vip = "fc00:50::201"
service = "fc00:50::200"
port = 1883
)",
                                                "decap.toml");

  EXPECT_EQ(config.interface, "eth0");
  EXPECT_EQ(config.xdp_mode, XdpMode::kGeneric);
  EXPECT_EQ(config.services, (std::vector{at("10.1.50.200:1883"), at("10.1.50.200:8883"),
                                          at("[fc00:50::200]:1883")}))
      << "sorted, with those of [[vip]] that have a port";
  EXPECT_EQ(config.from,
            (std::vector{*Prefix::parse("172.16.0.0/16"), *Prefix::parse("100::/64")}));
  ASSERT_EQ(config.vips.size(), 2u);
  EXPECT_EQ(config.vips[0].vip, Address::parse("10.1.50.201"));
  EXPECT_EQ(config.vips[0].service, Address::parse("10.1.50.200"));
  EXPECT_EQ(config.vips[0].port, 0) << "any";
  EXPECT_EQ(config.vips[1].vip, Address::parse("fc00:50::201"));
  EXPECT_EQ(config.vips[1].port, 1883);
}

TEST(DecapConfigTest, AnEmptyFileNamesNothing) {
  const DecapConfig config = parse_decap_config("", "decap.toml");
  EXPECT_TRUE(config.interface.empty());
  EXPECT_TRUE(config.services.empty());
  EXPECT_TRUE(config.from.empty());
  EXPECT_TRUE(config.vips.empty());
}

TEST(DecapConfigTest, OneNetworkNeedsNoArray) {
  EXPECT_EQ(parse_decap_config("from = \"10.1.2.2/32\"", "decap.toml").from,
            std::vector{*Prefix::parse("10.1.2.2/32")});
}

// Packets pass by address and port, so a VIP without a port needs a service that has one.
TEST(DecapConfigTest, AVipWithoutAPortNeedsAServiceThatHasOne) {
  const std::string vip = "[[vip]]\nvip = \"10.1.50.201\"\nservice = \"10.1.50.200\"\n";
  const std::string service = "[[service]]\naddress = \"10.1.50.200\"\nport = 1883\n";
  EXPECT_EQ(problems_of(vip + service), "");
  EXPECT_EQ(problems_of(service + vip), "");
  EXPECT_EQ(problems_of(vip + "port = 1883"), "");
  EXPECT_NE(problems_of(vip).find("decap.toml:1: no port of the service 10.1.50.200 is known"),
            std::string::npos)
      << problems_of(vip);
}

TEST(DecapConfigTest, TheInstalledExampleIsAccepted) {
  EXPECT_NO_THROW(load_decap_config(REMORA_SOURCE_DIR "/systemd/decap.toml"));
}

TEST(DecapConfigTest, WhatIsWrongIsSaidWithItsLine) {
  const std::string vip = "[[vip]]\nvip = \"10.1.50.201\"\nservice = \"10.1.50.200\"\n";
  const std::string service = "[[service]]\naddress = \"10.1.50.200\"\nport = 1883\n";
  const struct {
    std::string text, problem;
  } cases[] = {
      {"interfaces = \"eth0\"",
       "decap.toml:1: unknown key \"interfaces\"; did you mean \"interface\"? Known here: "
       "interface, xdp_mode, from, [[service]], [[vip]]"},
      {"interface = 3", "decap.toml:1: \"interface\" must be a string"},
      {"interface = \"a/b\"", "decap.toml:1: \"interface\" is \"a/b\""},
      {"xdp_mode = \"fast\"", "xdp_mode = \"fast\" is unknown; available: native, generic"},
      {"vip = \"10.1.50.201\"", "write [[vip]]"},
      {"[[vip]]\nvip = \"10.1.50.201\"", "decap.toml:1: [[vip]] has no \"service\""},
      {"[[vip]]\nservice = \"10.1.50.201\"", "decap.toml:1: [[vip]] has no \"vip\""},
      {vip + "port = 0", "decap.toml:4: \"port\" of [[vip]] is 0, but must be from 1 to 65535"},
      {vip + "port = \"1883\"", "decap.toml:4: \"port\""},
      {vip + "host = 1", "decap.toml:4: unknown key \"host\" in [[vip]]"},
      {service + vip + vip, "decap.toml:7: the VIP 10.1.50.201 has the same port in line 4"},
      {"[[vip]]\nvip = \"10.1.50.201\"\nservice = \"fc00::1\"", "must both be IPv4 or both IPv6"},
      {"[[vip]]\nvip = \"10.1.50.256\"\nservice = \"10.1.50.200\"",
       "is not an IPv4 or IPv6 address"},
      {"service = 3", "write [[service]]"},
      {"[[service]]\nport = 1883", "decap.toml:1: [[service]] has no \"address\""},
      {"[[service]]\naddress = \"10.1.50.200\"", "decap.toml:1: [[service]] has no \"port\""},
      {service + "name = \"mqtt\"", "decap.toml:4: unknown key \"name\" in [[service]]"},
      {"from = 3", "decap.toml:1: \"from\" must be a string or an array of strings"},
      {"from = []", "\"from\" is empty"},
      {"from = [ \"10.1.2.2/24\" ]", "\"from\" is \"10.1.2.2/24\", but must be a network"},
      {"[[vip", "this is not TOML"},
      {"interface = \x01", "decap.toml:1"},
  };
  for (const auto& [text, problem] : cases)
    EXPECT_NE(problems_of(text).find(problem), std::string::npos)
        << text << "\nsaid: " << problems_of(text);
}

TEST(DecapConfigTest, OneVipMayServeSeveralPorts) {
  EXPECT_EQ(problems_of("[[vip]]\nvip = \"10.1.50.201\"\nservice = \"10.1.50.200\"\nport = 1\n"
                        "[[vip]]\nvip = \"10.1.50.201\"\nservice = \"10.1.50.210\"\nport = 2\n"
                        "[[vip]]\nvip = \"10.1.50.201\"\nservice = \"10.1.50.220\"\n"
                        "[[service]]\naddress = \"10.1.50.220\"\nport = 3\n"),
            "");
}

TEST(DecapConfigTest, AFileThatIsNotThereIsAnError) {
  EXPECT_THROW(load_decap_config("/nonexistent/decap.toml"), ConfigError);
}

}  // namespace
}  // namespace remora
