// SPDX-License-Identifier: Apache-2.0
//
// A small LB for the tests of the daemon's parts: its configuration as values, and its programs
// and maps in the kernel. Uses a network namespace, a bpffs folder and a folder for files of
// the test's own; needs root.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/base/endpoint.h"
#include "daemon/config/config.h"
#include "daemon/forwarders/forwarder.h"
#include "daemon/kernel/ids.h"
#include "daemon/kernel/maps.h"
#include "daemon/kernel/programs.h"
#include "daemon/steering/steering.h"
#include "tests/daemon/lb_network.h"

namespace remora {

constexpr std::uint32_t kMtu = 1500;
inline const Endpoint kService = Endpoint::parse("10.1.50.200:1883").value();

// A configuration with the settings that tests vary. It has one service, "mqtt" at kService,
// with the default group "rest", and small tables, which are made quickly.
struct LbText {
  struct Real {
    std::string address;
    int weight = 1;
  };
  struct Group {
    std::string name;
    std::string vip;
    std::vector<Real> reals;
  };
  struct Route {
    std::string filter;
    std::string group;
  };

  std::vector<Group> groups = {{"rest", "10.1.50.203", {{"10.1.3.105"}}}};
  std::vector<Route> routes = {};
  std::string lb = "";  // more lines of [lb]
  std::string limits = "clients = 1000\nflows = 1000\n";

  std::string text() const;
  Config config() const { return parse_config(text(), "test.toml"); }
};

// The parts of a daemon that live in the kernel or write to it, in the order of construction.
struct Running {
  // Loads them as `config` says, without attaching. Takes over the pins of a predecessor.
  Running(const Config& a_config, const std::filesystem::path& pins, unsigned interface);

  // Puts the programs on the interface.
  void attach();

  const Config config;
  Programs programs;
  std::unique_ptr<Forwarder> forwarder;
  Maps maps;
  Ids ids;
  Steering steering;
};

class LbTest : public testing::Test {
 protected:
  // Skips the test without root: an override must return if IsSkipped().
  void SetUp() override;
  void TearDown() override;

  std::unique_ptr<Running> run(const Config& config) const;

  std::optional<LbNetwork> network_;
  std::unique_ptr<Running> running_;  // for tests of one daemon at a time
  std::filesystem::path pins_;
  std::filesystem::path files_;
};

}  // namespace remora
