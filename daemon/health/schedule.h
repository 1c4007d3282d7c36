// SPDX-License-Identifier: Apache-2.0
//
// When each target is checked, and what follows for the real that it belongs to: dead while
// the checks of any of its services in that group fail.
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
    // Asked when a check has failed: whether this host was in order, so that the broker is to
    // blame. Without it the host always is. May call abandon().
    std::function<bool()> is_host_in_order = {};
  };
  // What the real of a new target is taken to be.
  using FirstGuess = std::function<HealthState::Life(const CheckTarget&)>;

  explicit CheckSchedule(Handlers handlers) : handlers_(std::move(handlers)) {}

  // Checks these from here on, with `prober`, which must outlive them; nullptr: nothing.
  // What is under way is given up. A target that stays keeps its state. No handler is
  // called.
  void use(Prober* prober, const std::map<CheckTarget, Address>& targets, const CheckTiming& timing,
           const FirstGuess& first_guess, std::uint64_t now_ns);

  // Called often: starts what is due, and ends what takes too long. A pause of the calls
  // counts for nothing: the results of what was under way may wait meanwhile.
  void step(std::uint64_t now_ns);

  // Gives up what is under way: its results would say nothing about the brokers.
  void abandon();

  // For the prober. An id that is not under way is passed over.
  void finish(std::uint64_t id, CheckResult result, std::uint64_t now_ns);

  // Whether any of its services' checks say so.
  bool is_dead(const std::string& group, const Address& real) const;
  // The state that counts: that of a dead service before that of one which lives. Nothing
  // for what is not checked.
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
