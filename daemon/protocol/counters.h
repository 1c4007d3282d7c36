// SPDX-License-Identifier: Apache-2.0
//
// Describes each counter for status, the doctor and docs/counters.md. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "bpf/counters.h"

namespace remora {

enum class CounterClass : std::uint8_t {
  kNormal,  // part of normal operation
  kLook,    // worth a look when it grows
  kAlarm,   // something is wrong: the doctor warns of it
};

struct CounterFacts {
  std::string_view name;
  std::string_view unit;
  CounterClass kind;
  std::string_view meaning;  // for an alarm, with the remedy
};

// The counters of bpf/counters.h, by enum counter.
std::span<const CounterFacts, COUNTERS> kernel_counters();
// The counters of daemon_counters.h, in their order.
std::span<const CounterFacts> daemon_counters();

// "normal", "look", "alarm"
std::string_view to_string(CounterClass kind);

}  // namespace remora
