// SPDX-License-Identifier: Apache-2.0
//
// Checks the reals of all groups, and says which have died and which live again.
//
// A check goes to a private address; the map `checks` tells the TC program at the
// interface what becomes of it. While nothing can leave the LB nothing is checked: that
// says nothing about a broker.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemon/base/event_loop.h"
#include "daemon/config/check_addresses.h"
#include "daemon/config/config.h"
#include "daemon/health/mqtt_prober.h"
#include "daemon/health/schedule.h"
#include "daemon/health/tcp_prober.h"
#include "daemon/kernel/maps.h"
#include "daemon/steering/reals.h"

namespace remora {

class HealthChecks {
 public:
  // On the loop's thread. `loop` and `maps` must outlive it.
  HealthChecks(EventLoop& loop, const Maps& maps, const Config& config, unsigned interface_index,
               CheckSchedule::Handlers handlers);
  ~HealthChecks();
  HealthChecks(const HealthChecks&) = delete;
  HealthChecks& operator=(const HealthChecks&) = delete;

  // The interface was made anew, under another index. The next step() adds the routes.
  void move_to(unsigned interface_index);

  // From here on the routes outlive it: what is at the interface does, too.
  void keep_routes() { keeps_routes_ = true; }

  // What may be refused, before anything is changed by use(): the password, the routes.
  // Throws std::runtime_error with the remedy.
  void prepare(const Config& config);

  // Checks what the configuration says, with the reals as they are; what was prepared must
  // be the same. Calls the handlers for dead reals that are not checked any more.
  void use(const Config& config, const Reals& reals, std::uint64_t now_ns);

  // Whether packets for brokers are sent at all: the programs are on the interface, and the gateway
  // is known.
  enum class Way : std::uint8_t { kOpen, kNone };
  // Called often.
  void step(Way way, std::uint64_t now_ns);

  // Gives up the checks under way, which may have met a host that was not in order.
  void abandon() { schedule_.abandon(); }

  // What its last check found, for people; empty for what is not checked.
  std::string why(const std::string& group, const Address& real) const {
    const HealthState* state = find(group, real);
    return state ? state->last().what : "";
  }

  // Nothing for what is not checked.
  const HealthState* find(const std::string& group, const Address& real) const {
    return schedule_.find(group, real);
  }

 private:
  void write_checks(const Config& config) const;
  Prober* prober_for(const Config& config);
  bool has_way(std::uint64_t now_ns);
  bool look_for_way();
  bool has_left(const Endpoint& local, const Endpoint& to) const;

  EventLoop& loop_;
  const Maps& maps_;
  unsigned interface_index_;
  const CheckSchedule::Handlers handlers_;
  CheckAddresses addresses_;
  CheckSchedule schedule_;
  std::vector<Prefix> networks_;  // that are routed
  bool keeps_routes_ = false;
  MqttLogin login_;
  bool has_way_ = true;
  std::uint64_t looked_at_ns_ = 0;
  // Made when they are needed; call back into the schedule.
  std::unique_ptr<TcpProber> tcp_;
  std::unique_ptr<MqttProber> mqtt_;
};

}  // namespace remora
