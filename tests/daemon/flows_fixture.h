// SPDX-License-Identifier: Apache-2.0
//
// A configured LB with connections in its flow table: two reals, one of them in two
// groups. With the kernel's maps, in a namespace of the test's own; needs root.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <tuple>

#include "bpf/parse.h"
#include "daemon/kernel/flow_scan.h"
#include "daemon/kernel/programs.h"
#include "daemon/sessions/ender.h"
#include "daemon/steering/steering.h"
#include "tests/daemon/lb_network.h"

namespace remora {

constexpr std::uint64_t kMs = 1'000'000, kSecond = 1000 * kMs;
constexpr std::uint32_t kReal = 1, kOther = 2;

class FlowsTest : public testing::Test {
 protected:
  static constexpr const char* kConfig = R"(
[lb]
interface = "lb"
gateway_mac = "02:00:00:00:00:01"
[[service]]
name = "mqtt"
address = "10.1.50.200"
port = 1883
default_group = "rest"
[[group]]
name = "rest"
vip = "10.1.50.203"
reals = [ { address = "10.1.3.101" }, { address = "10.1.3.102" } ]
[[group]]
name = "other"
vip = "10.1.50.204"
reals = [ { address = "10.1.3.101" } ]
[limits]
clients = 20000
flows = 20000
half_open = 1024
events_kib = 64
)";

  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    network_.emplace();
    network_->add_default_routes();
    config_ = parse_config(kConfig, "test.toml");
    programs_ = std::make_unique<Programs>(
        config_, pin_folder("/sys/fs/bpf", "test-flows-" + std::to_string(getpid())),
        network_->lb_index());
    forwarder_ = make_forwarder(config_, *programs_, network_->lb_index());
    maps_ = std::make_unique<Maps>(*programs_);
    ids_ = std::make_unique<Ids>(*maps_, 64);
    steering_ = std::make_unique<Steering>(*maps_, *ids_, *forwarder_);
    steering_->apply(config_, 1500);
    ender_ = std::make_unique<Ender>(config_, *forwarder_);
  }

  const Endpoint kService = *Endpoint::parse("10.1.50.200:1883");

  flow_key key(std::uint32_t number) const {
    return {Address::from_ipv4(host_to_net32(0x0a010000 + number)).abi(), host_to_net16(40000),
            ids_->of_service(kService, "mqtt")};
  }

  flow entry_of(std::uint32_t number, std::uint32_t real, flow_state state,
                const char* group) const {
    flow entry{};
    entry.real = static_cast<__u16>(real);
    entry.group = ids_->of_group(group);
    entry.state = state;
    entry.isn = number;
    return entry;
  }

  void add_flows(std::uint32_t first, std::uint32_t count, std::uint32_t real,
                 flow_state state = FLOW_ESTABLISHED, const char* group = "rest") {
    for (std::uint32_t i = first; i < first + count; ++i) {
      maps_->flows.put(key(i), entry_of(i, real, state, group));
      maps_->guards.put(key(i).client, {0, 0, 1});
    }
  }

  std::uint32_t count(flow_state state) const {
    std::uint32_t found = 0;
    FlowReader reader(maps_->flows, 4096);
    for (auto [keys, values] = reader.next(); !keys.empty();
         std::tie(keys, values) = reader.next()) {
      for (const flow& entry : values) found += entry.state == state ? 1 : 0;
    }
    return found;
  }

  // Steps every 50 ms, as the daemon does it.
  template <class Part>
  void run_for(std::uint64_t period_ns, Part& part) {
    for (const std::uint64_t end = now_ + period_ns; now_ < end; now_ += 50 * kMs) step(part);
  }

  // The daemon's order: flows are found, then dealt with.
  template <class Part>
  void step(Part& part) {
    if (!scan_) {
      scan_ = std::make_unique<FlowScan>(maps_->flows);
      scan_->add(part);
    }
    scan_->step(now_);
    part.step(now_);
  }

  std::optional<LbNetwork> network_;
  Config config_;
  std::unique_ptr<Programs> programs_;
  std::unique_ptr<Forwarder> forwarder_;
  std::unique_ptr<Maps> maps_;
  std::unique_ptr<Ids> ids_;
  std::unique_ptr<Steering> steering_;
  std::unique_ptr<Ender> ender_;
  std::unique_ptr<FlowScan> scan_;  // with the part under test as its visitor
  std::uint64_t now_ = kSecond;
};

}  // namespace remora
