// SPDX-License-Identifier: Apache-2.0
#include "daemon/packets/record.h"

#include <cstring>

namespace remora {
namespace {

std::string_view text_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Both the record of a segment and the record of its topic have these flags.
bool is_without_topic(const event& head) {
  constexpr unsigned kApart = EVENT_SEGMENT | EVENT_TOPIC_APART;
  return (head.flags & kApart) == kApart;
}

bool has_topic(const event& head) {
  return head.action != ACTION_PIECE && head.action != ACTION_UNJUDGED && !is_without_topic(head) &&
         std::size_t{head.topic_offset} + head.topic_len <= head.data_len;
}

bool is_sound(const event& head) {
  switch (head.action) {
    case ACTION_LEARNED:
    case ACTION_RESET:
    case ACTION_KEPT:
    case ACTION_DROPPED:
    case ACTION_CHANGING:
      // The probe copies MAX_SEGMENT bytes at most.
      return has_topic(head) || is_without_topic(head) || (head.flags & EVENT_TRUNCATED) != 0;
    case ACTION_PIECE:
      return head.data_len > 0 && std::size_t{head.topic_offset} + head.data_len <= head.topic_len;
    case ACTION_UNJUDGED:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::optional<std::string_view> Record::topic() const {
  if (!has_topic(head)) return std::nullopt;
  return text_of(data.subspan(head.topic_offset, head.topic_len));
}

std::string_view Record::piece() const {
  return text_of(data);
}

std::optional<Record> read_record(const void* bytes, std::size_t size) {
  Record record{};
  if (size < sizeof(record.head)) return std::nullopt;
  std::memcpy(&record.head, bytes, sizeof(record.head));
  const event& head = record.head;
  if (size - sizeof(head) < head.data_len || head.options_len > sizeof(head.options) ||
      !is_sound(head)) {
    return std::nullopt;
  }
  record.data = {static_cast<const std::uint8_t*>(bytes) + sizeof(head), head.data_len};
  return record;
}

}  // namespace remora
