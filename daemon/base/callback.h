// SPDX-License-Identifier: Apache-2.0
//
// The one way from a C library into our code. An exception must not cross C
// frames: it is logged once, counted, and the loop goes on with the next event.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <string_view>

#include "log/log.h"

namespace remora {

// Callbacks that threw, since the start.
inline std::atomic<std::uint64_t> failed_callbacks{0};

// Runs `body`; `what` says in the log what was being done.
template <class Body>
void guarded(std::string_view what, Body&& body) noexcept {
  try {
    body();
  } catch (const std::exception& error) {
    ++failed_callbacks;
    log::error("{}: {}", what, error.what());
  } catch (...) {
    ++failed_callbacks;
    log::error("{}: unknown exception", what);
  }
}

}  // namespace remora
