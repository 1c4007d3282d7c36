// SPDX-License-Identifier: Apache-2.0
#include "daemon/events/last_topics.h"

#include <functional>
#include <iterator>
#include <utility>

namespace remora {

bool LastTopics::is_news(const client_key& client, std::string_view topic) {
  const std::size_t hash = std::hash<std::string_view>()(topic);
  const Client key(Address(client.client), client.service);
  if (const auto known = last_.find(key); known != last_.end()) {
    if (std::exchange(known->second.topic_hash, hash) == hash) return false;
    ages_.splice(ages_.end(), ages_, known->second.age);
    return true;
  }
  if (last_.size() >= room_) {
    last_.erase(ages_.front());
    ages_.pop_front();
  }
  ages_.push_back(key);
  last_[key] = {hash, std::prev(ages_.end())};
  return true;
}

}  // namespace remora
