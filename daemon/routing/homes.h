// SPDX-License-Identifier: Apache-2.0
//
// The groups where clients with persistent sessions have their homes, by client identifier.
//
// All workers share it. The history keeps it for the next daemon.
#pragma once

#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace remora {

class Homes {
 public:
  explicit Homes(std::size_t limit) : limit_(limit) {}

  // Above the limit, any other client makes room.
  void remember(const std::string& client_id, const std::string& group) {
    const std::lock_guard lock(mutex_);
    if (homes_.size() >= limit_ && !homes_.contains(client_id)) homes_.erase(homes_.begin());
    homes_[client_id] = group;
  }

  std::optional<std::string> find(std::string_view client_id) const {
    const std::lock_guard lock(mutex_);
    const auto found = homes_.find(std::string(client_id));
    return found == homes_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  const std::size_t limit_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::string> homes_;  // names of groups
};

}  // namespace remora
