// SPDX-License-Identifier: Apache-2.0
//
// The topic aliases that a client has set (MQTT 5.0 §3.3.2.3.4). They are resolved here and never
// used towards brokers, because each broker would need its own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

namespace remora::router {

class Aliases {
 public:
  void set(std::uint16_t alias, std::string_view topic) {
    std::string& place = topics_[alias];
    bytes_ += topic.size();
    bytes_ -= place.size();
    place = topic;
  }

  // Empty if the alias was never set. Valid until the next set().
  std::string_view topic_of(std::uint16_t alias) const {
    const auto found = topics_.find(alias);
    return found == topics_.end() ? std::string_view() : found->second;
  }

  std::size_t bytes() const { return bytes_ + topics_.size() * sizeof(std::string); }

 private:
  std::unordered_map<std::uint16_t, std::string> topics_;
  std::size_t bytes_ = 0;
};

}  // namespace remora::router
