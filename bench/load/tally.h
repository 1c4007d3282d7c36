// SPDX-License-Identifier: Apache-2.0
//
// Counts arrived messages: how often each one came, how late, and by topic.
//
// Pure.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "bench/load/stamp.h"

namespace remora::load {

// Times in microseconds; their shares are exact.
class Delays {
 public:
  void add(std::uint64_t delay_ns) {
    delays_us_.push_back(static_cast<std::uint32_t>(delay_ns / 1000));
  }
  // {"p50": …, "p99": …, "max": …}; null if there are none.
  nlohmann::json summary() const;

 private:
  std::vector<std::uint32_t> delays_us_;
};

class Tally {
 public:
  // `broker` is its place in the command line.
  void add(std::size_t broker, std::string_view topic, ByteView payload, std::uint64_t now_ns);

  // "lost" counts gaps below the highest number of each client that has arrived.
  nlohmann::json summary() const;

 private:
  std::map<std::uint32_t, std::vector<std::uint8_t>> arrivals_;  // by client and number
  std::map<std::string, std::map<std::size_t, std::uint64_t>, std::less<>> topics_;
  std::uint64_t messages_ = 0;
  std::uint64_t foreign_ = 0;  // without a stamp
  std::uint64_t bytes_ = 0;    // of payloads
  Delays delays_;
};

}  // namespace remora::load
