// SPDX-License-Identifier: Apache-2.0
#include "daemon/protocol/counters.h"

#include <cstddef>

#include "daemon/protocol/daemon_counters.h"

namespace remora {
namespace {

constexpr CounterFacts kKernelCounters[] = {
#define REMORA_ROW(name, unit, kind, meaning) {#name, unit, CounterClass::k##kind, meaning},
    REMORA_COUNTERS(REMORA_ROW)
#undef REMORA_ROW
};

constexpr CounterFacts kDaemonCounters[] = {
#define REMORA_ROW(name, unit, kind, value, meaning) {#name, unit, CounterClass::k##kind, meaning},
    REMORA_DAEMON_COUNTERS(REMORA_ROW)
#undef REMORA_ROW
};

}  // namespace

std::span<const CounterFacts, COUNTERS> kernel_counters() {
  return kKernelCounters;
}

std::span<const CounterFacts> daemon_counters() {
  return kDaemonCounters;
}

std::string_view to_string(CounterClass kind) {
  constexpr std::string_view kWords[] = {"normal", "look", "alarm"};
  return kWords[static_cast<std::size_t>(kind)];
}

}  // namespace remora
