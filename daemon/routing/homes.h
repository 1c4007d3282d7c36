// SPDX-License-Identifier: Apache-2.0
//
// The groups where clients with persistent sessions have their homes, by client identifier.
//
// All workers share it. It is lost with the daemon: then a home is the default group again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace remora {

class Homes {
 public:
  explicit Homes(std::size_t limit) : limit_(limit) {}

  // Above the limit any other one makes room.
  void remember(const std::string& client_id, std::uint32_t group) {
    const std::lock_guard lock(mutex_);
    if (homes_.size() >= limit_ && !homes_.contains(client_id)) homes_.erase(homes_.begin());
    homes_[client_id] = group;
  }

  std::optional<std::uint32_t> find(std::string_view client_id) const {
    const std::lock_guard lock(mutex_);
    const auto found = homes_.find(std::string(client_id));
    return found == homes_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  const std::size_t limit_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::uint32_t> homes_;
};

}  // namespace remora
