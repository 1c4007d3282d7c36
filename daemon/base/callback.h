// SPDX-License-Identifier: Apache-2.0
//
// Every callback from a C library goes through guarded(). An exception must not cross C
// frames: it is logged once and counted, and the loop continues with the next event.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <string_view>

#include "log/log.h"

namespace remora {

// Number of callbacks that have thrown since the start.
inline std::atomic<std::uint64_t> failed_callbacks{0};

// Logs that `what` failed: the first time at once, then once in ten seconds with the number.
void log_failure(std::string_view what, std::string_view error) noexcept;

// Runs `body`. `what` names the work in the log.
template <class Body>
void guarded(std::string_view what, Body&& body) noexcept {
  try {
    body();
  } catch (const std::exception& error) {
    ++failed_callbacks;
    log_failure(what, error.what());
  } catch (...) {
    ++failed_callbacks;
    log_failure(what, "unknown exception");
  }
}

}  // namespace remora
