// SPDX-License-Identifier: Apache-2.0
#include "daemon/events/topic_pieces.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

namespace remora {
namespace {

template <class T>
bool same(const T& left, const T& right) {
  return std::memcmp(&left, &right, sizeof(T)) == 0;
}

}  // namespace

std::optional<std::string> TopicPieces::add(const Record& piece, std::uint64_t position) {
  const auto topic = topic_of(piece.head, position);
  const std::string_view bytes = piece.piece();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::size_t at = piece.head.topic_offset + i;
    if (topic->is_there[at]) continue;
    topic->is_there[at] = true;
    topic->text[at] = bytes[i];
    --topic->missing;
  }
  if (topic->missing > 0) return std::nullopt;
  std::string whole = std::move(topic->text);
  topics_.erase(topic);
  return whole;
}

std::uint64_t TopicPieces::oldest() const {
  return topics_.empty() ? std::numeric_limits<std::uint64_t>::max() : topics_.front().position;
}

TopicPieces::Topics::iterator TopicPieces::topic_of(const event& head, std::uint64_t position) {
  const auto known = std::ranges::find_if(topics_, [&](const Topic& topic) {
    return topic.seq == head.seq && same(topic.flow, head.flow);
  });
  if (known != topics_.end()) {
    if (known->text.size() == head.topic_len) return known;
    // By now another connection uses the same port.
    topics_.erase(known);
    ++given_up_;
  }
  make_room(head.flow.client);
  topics_.push_back({.flow = head.flow,
                     .seq = head.seq,
                     .position = position,
                     .text = std::string(head.topic_len, '\0'),
                     .is_there = std::vector<bool>(head.topic_len),
                     .missing = head.topic_len});
  return std::prev(topics_.end());
}

void TopicPieces::make_room(const address& client) {
  const auto is_of_client = [&](const Topic& topic) { return same(topic.flow.client, client); };
  const bool has_too_many = std::cmp_greater_equal(std::ranges::count_if(topics_, is_of_client),
                                                   std::size_t{kTopicsOfClient});
  if (!has_too_many && topics_.size() < kTopics) return;
  topics_.erase(has_too_many ? std::ranges::find_if(topics_, is_of_client) : topics_.begin());
  ++given_up_;
}

}  // namespace remora
