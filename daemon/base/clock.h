// SPDX-License-Identifier: Apache-2.0
//
// The kernel's clock (CLOCK_MONOTONIC) and the history's (Unix time).
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>

namespace remora {

// CLOCK_MONOTONIC, which bpf_ktime_get_ns() reads too.
inline std::uint64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000ULL +
         static_cast<std::uint64_t>(now.tv_nsec);
}

inline std::int64_t unix_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// Both clocks at one moment, to turn one into the other.
class Clocks {
 public:
  Clocks() : monotonic_ns_(monotonic_ns()), unix_ms_(unix_ms()) {}

  std::uint64_t now_ns() const { return monotonic_ns_; }

  std::int64_t to_unix_ms(std::uint64_t at_ns) const {
    return unix_ms_ +
           (static_cast<std::int64_t>(at_ns) - static_cast<std::int64_t>(monotonic_ns_)) /
               1'000'000;
  }

  // 0 for a time before the boot.
  std::uint64_t to_monotonic_ns(std::int64_t at_unix_ms) const {
    const std::int64_t at_ns =
        static_cast<std::int64_t>(monotonic_ns_) + (at_unix_ms - unix_ms_) * 1'000'000;
    return at_ns > 0 ? static_cast<std::uint64_t>(at_ns) : 0;
  }

 private:
  std::uint64_t monotonic_ns_;
  std::int64_t unix_ms_;
};

}  // namespace remora
