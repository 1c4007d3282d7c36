// SPDX-License-Identifier: Apache-2.0
//
// How the checks of a real in a group decide between alive and dead. Pure: time is passed in.
#pragma once

#include <cstdint>
#include <string>

namespace remora {

// Result of one check.
struct CheckResult {
  bool good = false;
  std::string what;  // for people: "CONNACK", "no answer within 2 s"
  // This host could not ask, because it lacks descriptors, memory or ports, or its firewall blocks
  // the check. This says nothing about the broker.
  bool is_local = false;
};

// Checks in a row that change the state.
struct Thresholds {
  std::uint32_t rise;
  std::uint32_t fall;
};

class HealthState {
 public:
  enum class Life : std::uint8_t { kAlive, kDead };

  // `life` is assumed until checks say otherwise.
  HealthState(Life life, std::uint64_t now_ns) : life_(life), since_ns_(now_ns) {}

  // Returns whether the state has changed.
  bool take(CheckResult result, const Thresholds& thresholds, std::uint64_t now_ns);

  bool is_dead() const { return life_ == Life::kDead; }
  std::uint64_t since_ns() const { return since_ns_; }

  // The last check; 0 and an empty result if there was none yet.
  std::uint64_t checked_at_ns() const { return checked_at_ns_; }
  const CheckResult& last() const { return last_; }

 private:
  Life life_;
  std::uint64_t since_ns_;
  std::uint64_t checked_at_ns_ = 0;
  CheckResult last_;
  std::uint32_t against_ = 0;  // results in a row that contradict the state
};

}  // namespace remora
