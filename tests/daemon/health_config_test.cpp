// SPDX-License-Identifier: Apache-2.0
//
// The tables [health] and [evacuate].
#include <gtest/gtest.h>

#include "daemon/config/config.h"

namespace remora {
namespace {

// The smallest file, followed by a text that begins at line 14.
std::string file_with(std::string_view addition, std::string_view service = "10.1.50.200",
                      std::string_view real = "10.1.3.105") {
  return "[lb]\ninterface = \"eth0\"\n\n[[service]]\nname = \"mqtt\"\naddress = \"" +
         std::string(service) +
         "\"\nport = 1883\ndefault_group = \"default\"\n\n[[group]]\nname = \"default\"\n"
         "vip = \"10.1.50.203\"\nreals = [ { address = \"" +
         std::string(real) + "\" } ]\n" + std::string(addition);
}

Health health_of(std::string_view keys) {
  return parse_config(file_with("[health]\n" + std::string(keys)), "remora.toml").health;
}

// The problems for which a file is refused, one per line.
std::string refusal(const std::string& text) {
  try {
    parse_config(text, "remora.toml");
  } catch (const ConfigError& error) {
    return error.what();
  }
  return {};
}

TEST(HealthConfigTest, WithoutTheTableRealsAreCheckedByMqtt) {
  const Health health = parse_config(file_with(""), "remora.toml").health;
  EXPECT_EQ(health.check, CheckKind::kMqtt);
  EXPECT_EQ(health.interval_s, 5u);
  EXPECT_EQ(health.timeout_s, 3u);
  EXPECT_EQ(health.rise, 2u);
  EXPECT_EQ(health.fall, 3u);
  EXPECT_TRUE(health.username.empty());
  EXPECT_EQ(health.client_id, "remora");
  EXPECT_EQ(to_string(health.network4), "198.18.0.0/16");
  EXPECT_EQ(to_string(health.network6), "fd72:656d:6f72:6100::/64");
}

TEST(HealthConfigTest, EveryKeyIsRead) {
  const Health health = health_of(
      "check = \"tcp\"\ninterval_s = 10\ntimeout_s = 10\nrise = 1\nfall = 5\n"
      "username = \"lb\"\npassword_file = \"/etc/remora/pw\"\nclient_id = \"lb-1\"\n"
      "networks = [ \"198.19.0.0/24\", \"fd00:1::/120\" ]\n");
  EXPECT_EQ(health.check, CheckKind::kTcp);
  EXPECT_EQ(health.interval_s, 10u);
  EXPECT_EQ(health.timeout_s, 10u);
  EXPECT_EQ(health.rise, 1u);
  EXPECT_EQ(health.fall, 5u);
  EXPECT_EQ(health.username, "lb");
  EXPECT_EQ(health.password_file, "/etc/remora/pw");
  EXPECT_EQ(health.client_id, "lb-1");
  EXPECT_EQ(to_string(health.network4), "198.19.0.0/24");
  EXPECT_EQ(to_string(health.network6), "fd00:1::/120");
  EXPECT_EQ(health_of("check = \"off\"").check, CheckKind::kOff);
  EXPECT_EQ(to_string(health_of("networks = \"fd00:1::/120\"").network4), "198.18.0.0/16");
}

TEST(HealthConfigTest, AnErrorNamesTheLineAndWhatIsWrong) {
  const struct {
    std::string_view keys;
    std::string_view message;  // its beginning, after the line number of the second key
  } cases[] = {
      {"check = \"ping\"", "check = \"ping\" is unknown; available: mqtt, tcp, off"},
      {"interval_s = 0", "\"interval_s\" of [health] is 0, but must be from 1 to 3600"},
      {"interval_s = 1", "\"timeout_s\" of [health] is 3, but a check must end before the next"},
      {"timeout_s = 1", "\"timeout_s\" of [health] is 1, but must be at least 2 with check"},
      {"fall = 101", "\"fall\" of [health] is 101"},
      {"password_file = \"/x\"", "\"password_file\" of [health] needs a \"username\""},
      {"username = \"a\\u0000\"", "\"username\" of [health] must be text"},
      {"client_id = \"a b\"", "\"client_id\" of [health] is \"a b\", but must be 1 to 63"},
      {"networks = \"198.18.0.1/16\"", "\"networks\" of [health] is \"198.18.0.1/16\", but must"},
      {"networks = \"127.0.0.0/16\"", "\"networks\" of [health] is \"127.0.0.0/16\", but must"},
      {"networks = [ \"198.18.0.0/24\", \"198.19.0.0/24\" ]",
       "\"networks\" of [health] must be one network of each family"},
      {"networks = \"198.18.0.0/31\"",
       "\"networks\" of [health]: 198.18.0.0/31 is too small for 1 checks"},
      {"rises = 1", "unknown key \"rises\" in [health]; did you mean \"rise\"?"},
  };
  for (const auto& [keys, message] : cases) {
    const std::string text = refusal(file_with("[health]\n" + std::string(keys)));
    EXPECT_NE(text.find(message), std::string::npos) << keys << ": " << text;
    EXPECT_TRUE(text.starts_with("remora.toml:14:") || text.starts_with("remora.toml:15:")) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  }
  EXPECT_NE(refusal(file_with("[health]\nusername = \"a\"\npassword_file = \"x\"\n"))
                .find("\"password_file\" of [health] is \"x\", but must be the absolute path"),
            std::string::npos);
}

TEST(EvacuateConfigTest, TheReasonIsOneThatSendsAClientElsewhere) {
  const auto reason_of = [](std::string_view value) {
    return parse_config(file_with("[evacuate]\nreason = " + std::string(value)), "remora.toml")
        .evacuate.reason;
  };
  EXPECT_EQ(parse_config(file_with(""), "remora.toml").evacuate.reason, 0x9c);
  EXPECT_EQ(reason_of("0x9D"), 0x9d);
  EXPECT_EQ(reason_of("139"), 0x8b);
  EXPECT_EQ(reason_of("0x98"), 0x98);
  const std::string refused = refusal(file_with("[evacuate]\nreason = 0x00"));
  EXPECT_TRUE(
      refused.starts_with("remora.toml:15: \"reason\" of [evacuate] is 0, but must be 0x9C"))
      << refused;
  EXPECT_NE(refusal(file_with("[evacuate]\nreason = 256")), "");
}

TEST(HealthConfigTest, TheNetworksHoldNobodysAddress) {
  const std::string service = refusal(file_with("", "198.18.3.4"));
  EXPECT_NE(service.find("service address 198.18.3.4 lies in 198.18.0.0/16"), std::string::npos)
      << service;
  const std::string real = refusal(file_with("", "10.1.50.200", "198.18.0.9"));
  EXPECT_NE(real.find("remora.toml:13: real 198.18.0.9 lies in"), std::string::npos) << real;

  EXPECT_EQ(refusal(file_with("[health]\ncheck = \"off\"\n", "198.18.3.4")), "");
  EXPECT_EQ(refusal(file_with("[health]\nnetworks = \"198.19.0.0/30\"\n", "198.18.3.4")), "");
}

}  // namespace
}  // namespace remora
