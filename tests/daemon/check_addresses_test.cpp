// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/check_addresses.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

Address at(std::string_view text) {
  return *Address::parse(text);
}

Config config_with(std::vector<std::string> services, std::vector<std::string> reals) {
  Config config;
  for (const std::string& service : services)
    config.services.push_back({service, at(service), 1883, "g", 0});
  Group group;
  group.name = "g";
  for (const std::string& real : reals) group.reals.push_back({at(real), 1, 0});
  config.groups.push_back(group);
  return config;
}

CheckAddresses addresses() {
  return {*Prefix::parse("198.18.0.0/29"), *Prefix::parse("fd00::/64")};
}

TEST(CheckTargetsTest, AreOnePerServiceAndReal) {
  Config config = config_with({"10.1.50.200", "10.1.50.199"}, {"10.1.3.1", "10.1.3.2"});
  EXPECT_EQ(check_targets(config).size(), 4u);
  config.health.check = CheckKind::kOff;
  EXPECT_TRUE(check_targets(config).empty());
}

TEST(CheckAddressesTest, AreOfTheServicesFamilyAndEachTargetsOwn) {
  CheckAddresses all = addresses();
  all.assign(
      check_targets(config_with({"10.1.50.200", "fc00:50::200"}, {"fc00:3::1", "fc00:3::2"})));

  ASSERT_EQ(all.all().size(), 4u);
  const auto of = [&](const char* real, const char* service) {
    return to_string(all.all().at({"g", at(real), at(service), 1883}));
  };
  EXPECT_EQ(of("fc00:3::1", "10.1.50.200"), "198.18.0.2") << "the first two are not for targets";
  EXPECT_EQ(of("fc00:3::2", "10.1.50.200"), "198.18.0.3");
  EXPECT_EQ(of("fc00:3::1", "fc00:50::200"), "fd00::2");
  EXPECT_EQ(of("fc00:3::2", "fc00:50::200"), "fd00::3");
}

TEST(CheckAddressesTest, AreKeptAndGivenOutAgain) {
  CheckAddresses all = addresses();
  const auto assign = [&](std::vector<std::string> reals) {
    all.assign(check_targets(config_with({"10.1.50.200"}, std::move(reals))));
  };
  const auto of = [&](const char* real) {
    return to_string(all.all().at({"g", at(real), at("10.1.50.200"), 1883}));
  };
  assign({"10.1.3.1", "10.1.3.2", "10.1.3.3"});

  assign({"10.1.3.3", "10.1.3.4"});
  EXPECT_EQ(of("10.1.3.3"), "198.18.0.4");
  EXPECT_EQ(of("10.1.3.4"), "198.18.0.2");

  assign({"10.1.3.4", "10.1.3.5", "10.1.3.6", "10.1.3.7", "10.1.3.8", "10.1.3.9"});
  EXPECT_EQ(of("10.1.3.4"), "198.18.0.2");
  EXPECT_EQ(of("10.1.3.9"), "198.18.0.7");
  EXPECT_THROW(
      assign({"1.0.0.1", "1.0.0.2", "1.0.0.3", "1.0.0.4", "1.0.0.5", "1.0.0.6", "1.0.0.7"}),
      std::logic_error);
}

}  // namespace
}  // namespace remora
