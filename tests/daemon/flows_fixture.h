// SPDX-License-Identifier: Apache-2.0
//
// A configured LB with connections in its flow table: two reals, one of them in two
// groups. With the kernel's maps, in a namespace of the test's own; needs root.
#pragma once

#include <tuple>

#include "bpf/parse.h"
#include "daemon/kernel/flow_scan.h"
#include "daemon/sessions/ender.h"
#include "tests/daemon/lb_fixture.h"

namespace remora {

constexpr std::uint64_t kMs = 1'000'000, kSecond = 1000 * kMs;
constexpr std::uint32_t kReal = 1, kOther = 2;

class FlowsTest : public LbTest {
 protected:
  void SetUp() override {
    LbTest::SetUp();
    if (IsSkipped()) return;
    network_->add_default_routes();
    const LbText lb{.groups = {{"rest", "10.1.50.203", {{"10.1.3.101"}, {"10.1.3.102"}}},
                               {"other", "10.1.50.204", {{"10.1.3.101"}}}},
                    .limits = "clients = 20000\nflows = 20000\n"};
    running_ = run(lb.config());
    ender_ = std::make_unique<Ender>(running_->config, *running_->forwarder);
  }

  flow_key key(std::uint32_t number) const {
    return {Address::from_ipv4(host_to_net32(0x0a010000 + number)).abi(), host_to_net16(40000),
            running_->ids.of_service(kService, "mqtt")};
  }

  flow entry_of(std::uint32_t number, std::uint32_t real, flow_state state,
                const char* group) const {
    flow entry{};
    entry.real = static_cast<__u16>(real);
    entry.group = running_->ids.of_group(group);
    entry.state = state;
    entry.isn = number;
    return entry;
  }

  void count_connection(const flow_key& flow) const {
    running_->maps.predictions.count_connection({flow.client, flow.service, 0}, 1);
  }
  std::uint32_t connections(const flow_key& flow) const {
    return running_->maps.predictions.entry({flow.client, flow.service, 0})->connections;
  }

  void add_flows(std::uint32_t first, std::uint32_t count, std::uint32_t real,
                 flow_state state = FLOW_ESTABLISHED, const char* group = "rest") {
    for (std::uint32_t i = first; i < first + count; ++i) {
      running_->maps.flows.put(key(i), entry_of(i, real, state, group));
      count_connection(key(i));
    }
  }

  std::uint32_t count(flow_state state) const {
    std::uint32_t found = 0;
    FlowReader reader(running_->maps.flows, 4096);
    for (auto [keys, values] = reader.next(); !keys.empty();
         std::tie(keys, values) = reader.next()) {
      for (const flow& entry : values) found += entry.state == state ? 1 : 0;
    }
    return found;
  }

  // Calls step() at times 50 ms apart, as the daemon does.
  template <class Part>
  void run_for(std::uint64_t period_ns, Part& part) {
    for (const std::uint64_t end = now_ + period_ns; now_ < end; now_ += 50 * kMs) step(part);
  }

  // In the daemon's order: the scan finds flows first, then the part handles them.
  template <class Part>
  void step(Part& part) {
    if (!scan_) {
      scan_ = std::make_unique<FlowScan>(running_->maps.flows);
      scan_->add(part);
    }
    scan_->step(now_);
    part.step(now_);
  }

  std::unique_ptr<Ender> ender_;
  std::unique_ptr<FlowScan> scan_;  // with the part under test as its visitor
  std::uint64_t now_ = kSecond;
};

}  // namespace remora
