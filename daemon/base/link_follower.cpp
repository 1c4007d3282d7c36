// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/link_follower.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "log/log.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kTicksBetweenLooks = 10;
constexpr unsigned kTicksToProblem = 2;  // a route may be replaced in two steps
constexpr auto kAskEvery = 10ms;

}  // namespace

LinkFollower::LinkFollower(EventLoop& loop, const Link& link, Handlers handlers, Gateway gateway)
    : index_(link.index),
      handlers_(std::move(handlers)),
      needs_gateway_(gateway == Gateway::kNeeded),
      mtu_(link.mtu) {
  loop.on_readable(news_.fd(), "news of the link", [this] {
    if (news_.concern(index_, routers_)) look();
  });
}

void LinkFollower::set_gateway(const std::optional<MacAddress>& fixed) {
  is_fixed_ = fixed.has_value();
  is_silent_ = !is_fixed_;
  if (fixed) use(*fixed);
}

void LinkFollower::move_to(const Link& link) {
  index_ = link.index;
  routers_.clear();
  router_.reset();
  is_silent_ = !is_fixed_;
  look();
}

void LinkFollower::look() {
  const auto name = find_name(index_);
  if (const auto link = name ? find_link(*name) : std::nullopt; link && link->mtu != mtu_) {
    handlers_.on_mtu(link->mtu);
    mtu_ = link->mtu;
  }
  if (!is_fixed_) look_at_gateway();
}

// Prefers the present router, so that the gateway does not change unnecessarily.
std::optional<Neighbour> LinkFollower::choose_router() {
  if (const auto present = std::ranges::find(routers_, router_); present != routers_.end())
    std::iter_swap(routers_.begin(), present);
  for (const Address& router : routers_) {
    if (const auto found = find_neighbour(index_, router)) {
      router_ = router;
      return found;
    }
  }
  return std::nullopt;
}

void LinkFollower::look_at_gateway() {
  routers_ = default_gateways(index_);
  const auto found = choose_router();
  is_silent_ = !found;
  if (found) {
    if (gateway_ != found->mac)
      log::info("the gateway {} is at {}", to_string(*router_), to_string(found->mac));
    use(found->mac);
    // The kernel checks a neighbour only when the host's stack sends to it (RFC 4861 §7.3.3),
    // but here XDP sends everything.
    if (found->is_stale) solicit(index_, *router_);
    return;
  }
  for (const Address& router : routers_) solicit(index_, router);
}

void LinkFollower::use(const MacAddress& gateway) {
  if (gateway_ == gateway) return;
  handlers_.on_gateway(gateway);
  gateway_ = gateway;
}

bool LinkFollower::wait_for_gateway(std::chrono::milliseconds patience) {
  for (auto waited = 0ms; waited < patience; waited += kAskEvery) {
    look();
    if (gateway_) return true;
    std::this_thread::sleep_for(kAskEvery);
  }
  return false;
}

void LinkFollower::tick() {
  if (++ticks_ % kTicksBetweenLooks == 0 || is_silent_) look();
  report();
}

void LinkFollower::report() {
  std::string now = find_problem();
  if (now == problem_) return;
  if (now.empty())
    log::info("link and gateway are in order again");
  else
    log::error("{}", now);
  problem_ = std::move(now);
}

// Nothing while the interface is gone, which is reported elsewhere.
std::string LinkFollower::find_problem() {
  const auto interface = find_name(index_);
  const bool is_up = interface && is_running(*interface);
  ticks_down_ = interface && !is_up ? ticks_down_ + 1 : 0;
  ticks_silent_ = is_up && is_silent_ && needs_gateway_ ? ticks_silent_ + 1 : 0;
  if (ticks_down_ >= kTicksToProblem)
    return *interface + " is down or has no carrier: no packet arrives or leaves";
  return ticks_silent_ >= kTicksToProblem ? describe_silence(*interface) : "";
}

std::string LinkFollower::describe_silence(const std::string& interface) const {
  const std::string consequence =
      gateway_ ? "packets for brokers still go to the former gateway, " + to_string(*gateway_)
               : "packets for brokers are dropped";
  if (routers_.empty())
    return "no default route with a gateway uses " + interface + ": " + consequence +
           "; add the route, or set [lb] gateway_mac";
  return "the gateway " + to_string(routers_.front()) + " does not answer: " + consequence;
}

}  // namespace remora
