// SPDX-License-Identifier: Apache-2.0
//
// Decides when each target is checked. A real is dead in a group while the checks of any service
// fail for it.
//
// Checks are spread over the interval. Time and the function that checks are passed in.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "daemon/config/check_addresses.h"
#include "daemon/health/prober.h"
#include "daemon/health/state.h"

namespace remora {

struct CheckTiming {
  std::uint64_t interval_ns;
  std::uint64_t timeout_ns;  // at most the interval
  Thresholds thresholds;
};

class CheckSchedule {
 public:
  struct Handlers {
    std::function<void(const std::string& group, const Address& real)> on_dead;
    std::function<void(const std::string& group, const Address& real)> on_alive;
    // Called when a check has failed: returns whether this host was in order, so that the broker is
    // to blame. Without a function the host always was. May call abandon().
    std::function<bool()> is_host_in_order = {};
  };
  // The state that a new target's real has before its first check.
  using FirstGuess = std::function<HealthState::Life(const CheckTarget&)>;

  explicit CheckSchedule(Handlers handlers) : handlers_(std::move(handlers)) {}

  // From now on checks these targets with `prober`, which must outlive them; nullptr: nothing is
  // checked. Gives up checks under way. A target that stays keeps its state. Calls no handler.
  void use(Prober* prober, const std::map<CheckTarget, Address>& targets, const CheckTiming& timing,
           const FirstGuess& first_guess, std::uint64_t now_ns);

  // Called often: starts checks that are due, and ends those that take too long. A pause between
  // calls does not count, because results may have waited during it.
  void step(std::uint64_t now_ns);

  // Gives up the checks under way, whose results would say nothing about the brokers.
  void abandon();

  // Called by the prober. Ignores an id that is not under way.
  void finish(std::uint64_t id, CheckResult result, std::uint64_t now_ns);

  // Whether the checks of any of its services say so.
  bool is_dead(const std::string& group, const Address& real) const;
  // The state that counts: that of a dead service before that of a living one. nullptr if the real
  // is not checked.
  const HealthState* find(const std::string& group, const Address& real) const;

 private:
  struct Entry {
    Endpoint at;
    HealthState state;
    std::uint64_t due_ns;
    std::uint64_t running = 0;  // id of the check under way; 0: none
    std::uint64_t began_ns = 0;
  };
  using Entries = std::map<CheckTarget, Entry>;

  void start(const CheckTarget& target, Entry& entry, std::uint64_t now_ns);
  void take(const CheckTarget& target, Entry& entry, CheckResult result, std::uint64_t now_ns);

  const Handlers handlers_;
  Prober* prober_ = nullptr;
  CheckTiming timing_{};
  Entries entries_;
  std::map<std::uint64_t, CheckTarget> running_;  // by id
  std::uint64_t last_id_ = 0;
  std::uint64_t stepped_at_ns_ = 0;
};

}  // namespace remora
