// SPDX-License-Identifier: Apache-2.0
//
// The broker's own configuration.
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

TEST(DecapConfigTest, HoldsWhatTheFileSays) {
  const DecapConfig config = parse_decap_config(R"(
interface = "eth0"
xdp_mode = "generic"
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
  ASSERT_EQ(config.vips.size(), 2u);
  EXPECT_EQ(config.vips[0].vip, Address::parse("10.1.50.201"));
  EXPECT_EQ(config.vips[0].service, Address::parse("10.1.50.200"));
  EXPECT_EQ(config.vips[0].port, 0) << "any";
  EXPECT_EQ(config.vips[1].vip, Address::parse("fc00:50::201"));
  EXPECT_EQ(config.vips[1].port, 1883);
}

TEST(DecapConfigTest, AnEmptyFileIsOneWithoutVips) {
  const DecapConfig config = parse_decap_config("", "decap.toml");
  EXPECT_TRUE(config.interface.empty());
  EXPECT_TRUE(config.vips.empty());
}

TEST(DecapConfigTest, TheInstalledExampleIsAccepted) {
  EXPECT_NO_THROW(load_decap_config(REMORA_SOURCE_DIR "/systemd/decap.toml"));
}

TEST(DecapConfigTest, WhatIsWrongIsSaidWithItsLine) {
  const std::string vip = "[[vip]]\nvip = \"10.1.50.201\"\nservice = \"10.1.50.200\"\n";
  const struct {
    std::string text, problem;
  } cases[] = {
      {"interfaces = \"eth0\"",
       "decap.toml:1: unknown key \"interfaces\"; did you mean \"interface\"? Known here: "
       "interface, xdp_mode, [[vip]]"},
      {"interface = 3", "decap.toml:1: \"interface\" must be a string"},
      {"interface = \"a/b\"", "decap.toml:1: \"interface\" is \"a/b\""},
      {"xdp_mode = \"fast\"", "xdp_mode = \"fast\" is unknown; available: native, generic"},
      {"vip = \"10.1.50.201\"", "write [[vip]]"},
      {"[[vip]]\nvip = \"10.1.50.201\"", "decap.toml:1: [[vip]] has no \"service\""},
      {"[[vip]]\nservice = \"10.1.50.201\"", "decap.toml:1: [[vip]] has no \"vip\""},
      {vip + "port = 0", "decap.toml:4: \"port\" of [[vip]] is 0, but must be from 1 to 65535"},
      {vip + "port = \"1883\"", "decap.toml:4: \"port\""},
      {vip + "host = 1", "decap.toml:4: unknown key \"host\" in [[vip]]"},
      {vip + vip, "decap.toml:4: the VIP 10.1.50.201 has the same port in line 1"},
      {"[[vip]]\nvip = \"10.1.50.201\"\nservice = \"fc00::1\"", "must both be IPv4 or both IPv6"},
      {"[[vip]]\nvip = \"10.1.50.256\"\nservice = \"10.1.50.200\"",
       "is not an IPv4 or IPv6 address"},
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
                        "[[vip]]\nvip = \"10.1.50.201\"\nservice = \"10.1.50.220\"\n"),
            "");
}

TEST(DecapConfigTest, AFileThatIsNotThereIsAnError) {
  EXPECT_THROW(load_decap_config("/nonexistent/decap.toml"), ConfigError);
}

}  // namespace
}  // namespace remora
