// SPDX-License-Identifier: Apache-2.0
//
// Follows the LB's interface: its MTU, and the gateway's Ethernet address.
//
// The kernel reports changes at once (rtnetlink). It is also asked from time to time, because it
// drops reports that are not read in time. A gateway that has been silent for long is probed, which
// detects an address that has changed silently. If the default route has several next hops, one
// that answers is the gateway, and it stays while it is known. If the route or the gateway is lost,
// packets go to the former gateway, and log and status say so.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/base/event_loop.h"
#include "daemon/base/link.h"

namespace remora {

class LinkFollower {
 public:
  struct Handlers {
    std::function<void(std::uint32_t mtu)> on_mtu;
    std::function<void(const MacAddress& gateway)> on_gateway;
  };
  // kUnneeded: packets for brokers go elsewhere, so that a lost gateway is no problem.
  enum class Gateway { kNeeded, kUnneeded };

  // Runs on the loop's thread; `loop` must outlive it. The handlers are never called from the
  // constructor. Throws std::system_error.
  LinkFollower(EventLoop& loop, const Link& link, Handlers handlers,
               Gateway gateway = Gateway::kNeeded);

  // Follows another interface from now on, with the present gateway until another one answers.
  // Throws std::system_error.
  void move_to(const Link& link);

  // Sets a fixed gateway; without a value, follows the default route.
  void set_gateway(const std::optional<MacAddress>& fixed);

  // Asks the kernel and, if the kernel is not sure of the gateway, the network. Throws
  // std::system_error.
  void look();

  // Looks repeatedly until the gateway is known, for at most `patience`. For use before the loop
  // runs. Returns whether the gateway is known.
  bool wait_for_gateway(std::chrono::milliseconds patience);

  // Call this once a second: looks if the gateway is not known, and at intervals. Logs a
  // problem that lasts, and its end.
  void tick();

  std::uint32_t mtu() const { return mtu_; }
  const std::optional<MacAddress>& gateway() const { return gateway_; }
  // Whether the gateway's Ethernet address is known at present, not only from earlier.
  bool hears_gateway() const { return !is_silent_; }
  // For people, as of the last ticks; empty: none.
  const std::string& problem() const { return problem_; }

 private:
  void look_at_gateway();
  std::optional<Neighbour> choose_router();
  void use(const MacAddress& gateway);
  void report();
  std::string find_problem();
  std::string describe_silence(const std::string& interface) const;

  unsigned index_;
  const Handlers handlers_;
  const bool needs_gateway_;
  LinkNews news_;
  std::uint32_t mtu_;
  bool is_fixed_ = false;
  std::vector<Address> routers_;       // next hops of the default route
  std::optional<Address> router_;      // the next hop whose Ethernet address is gateway_
  std::optional<MacAddress> gateway_;  // stays when the router falls silent
  bool is_silent_ = true;
  unsigned ticks_ = 0;
  unsigned ticks_down_ = 0;    // in a row
  unsigned ticks_silent_ = 0;  // likewise
  std::string problem_;
};

}  // namespace remora
