// SPDX-License-Identifier: Apache-2.0
//
// The groups of the topics that a client has published lately, so that a topic is looked up in the
// routes once, and not for each message.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "daemon/router/options.h"

namespace remora::router {

class RecentTopics {
 public:
  // The topic's group, or nullptr if it is not known. The topic is then the last one.
  const GroupId* find(std::string_view topic) {
    for (std::size_t i = 0; i < kKept; ++i) {
      const Entry& entry = entries_[(last_ + i) % kKept];
      if (entry.topic != topic || topic.empty()) continue;
      last_ = (last_ + i) % kKept;
      return &entry.group;
    }
    return nullptr;
  }

  // Takes the place of another topic, and is the last one.
  void add(std::string_view topic, GroupId group) {
    last_ = (last_ + 1) % kKept;
    entries_[last_] = {topic.size() <= kLongest ? std::string(topic) : std::string(), group};
  }

  // Empty if there is none, or if it is too long to be kept.
  std::string_view last() const { return entries_[last_].topic; }

  void clear() { entries_ = {}; }

 private:
  static constexpr std::size_t kKept = 4;
  static constexpr std::size_t kLongest = 256;  // bytes; limits the memory of a connection

  struct Entry {
    std::string topic;
    GroupId group = 0;
  };

  std::array<Entry, kKept> entries_;
  std::size_t last_ = 0;
};

}  // namespace remora::router
