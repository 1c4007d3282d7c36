// SPDX-License-Identifier: Apache-2.0
#include "daemon/mqtt/packet_reader.h"

#include <algorithm>
#include <cstring>

#include "bpf/mqtt.h"

namespace remora::mqtt {
namespace {

constexpr std::uint32_t bit(Type type) {
  return 1U << static_cast<unsigned>(type);
}

// §2.1.2, column "direction of flow". A broker's AUTH and DISCONNECT came with MQTT 5.
constexpr std::uint32_t kBoth = bit(Type::kPublish) | bit(Type::kPuback) | bit(Type::kPubrec) |
                                bit(Type::kPubrel) | bit(Type::kPubcomp);
constexpr std::uint32_t kFromClient = kBoth | bit(Type::kConnect) | bit(Type::kSubscribe) |
                                      bit(Type::kUnsubscribe) | bit(Type::kPingreq) |
                                      bit(Type::kDisconnect);
constexpr std::uint32_t kFromBroker =
    kBoth | bit(Type::kConnack) | bit(Type::kSuback) | bit(Type::kUnsuback) | bit(Type::kPingresp);

// §2.1.3. MQTT 3.1 marked repeated packets of QoS 1 (MQTT 3.1 §2.1).
bool has_valid_flags(std::uint8_t first_byte, Version version) {
  constexpr std::uint8_t kDup = 8;
  const Type type = type_of(first_byte);
  std::uint8_t flags = first_byte & 0x0f;
  if (type == Type::kPublish) return qos_of(first_byte) != 3;
  if (type != Type::kPubrel && type != Type::kSubscribe && type != Type::kUnsubscribe) {
    return flags == 0;
  }
  if (version == Version::k31) flags &= static_cast<std::uint8_t>(~kDup);
  return flags == 2;
}

// The variable byte integer at `at`: its length, 0 when it is cut, -1 when it is malformed.
int read_integer(ByteView bytes, std::size_t at, std::uint32_t& value) {
  std::uint32_t window = 0;
  const std::size_t count = at < bytes.size() ? std::min(bytes.size() - at, sizeof(window)) : 0;
  if (count != 0) std::memcpy(&window, bytes.data() + at, count);
  return variable_integer(window, static_cast<std::uint32_t>(count), &value);
}

}  // namespace

std::size_t packet_size(ByteView front) {
  std::uint32_t remaining = 0;
  const int size = read_integer(front, 1, remaining);
  return 1 + static_cast<std::size_t>(size) + remaining;
}

bool PacketReader::may_send(std::uint8_t first_byte) const {
  std::uint32_t types = sender_ == Sender::kClient ? kFromClient : kFromBroker;
  if (version_ == Version::k5) types |= bit(Type::kAuth) | bit(Type::kDisconnect);
  return (types & bit(type_of(first_byte))) != 0;
}

PacketReader::Extent PacketReader::refuse(Reason reason) {
  problem_ = reason;
  return {};
}

PacketReader::Extent PacketReader::measure(ByteView front) {
  if (front.size() < 2) return {.wanted = 2};
  if (front[0] >> 4 == 0 || !has_valid_flags(front[0], version_)) {
    return refuse(Reason::kMalformed);
  }
  if (!may_send(front[0])) return refuse(Reason::kProtocolError);
  std::uint32_t remaining = 0;
  const int size = read_integer(front, 1, remaining);
  if (size < 0) return refuse(Reason::kMalformed);
  if (size == 0) return {.wanted = front.size() + 1};

  Extent extent{.header = 1 + static_cast<std::uint32_t>(size)};
  extent.packet = extent.header + std::size_t{remaining};
  if (type_of(front[0]) == Type::kPublish) return measure_publish(front, extent);
  if (extent.packet > longest_) return refuse(Reason::kPacketTooLarge);
  extent.wanted = extent.packet;
  extent.complete = front.size() >= extent.packet;
  return extent;
}

// §3.3.2: topic, packet identifier, properties.
PacketReader::Extent PacketReader::measure_publish(ByteView front, Extent extent) {
  const std::size_t topic = extent.header + std::size_t{2};
  if (topic > extent.packet) return refuse(Reason::kMalformed);
  if (front.size() < topic) {
    extent.wanted = topic;
    return extent;
  }
  std::size_t head = topic + (std::size_t{front[topic - 2]} << 8 | front[topic - 1]);
  if (qos_of(front[0]) != 0) head += 2;
  if (version_ == Version::k5) {
    std::uint32_t length = 0;
    const int size = head < extent.packet ? read_integer(front, head, length) : -1;
    if (size < 0) return refuse(Reason::kMalformed);
    if (size == 0) {
      extent.wanted = std::max(head, front.size()) + 1;
      if (extent.wanted > std::min(extent.packet, longest_)) {
        return refuse(extent.wanted > extent.packet ? Reason::kMalformed : Reason::kPacketTooLarge);
      }
      return extent;
    }
    head += static_cast<std::size_t>(size) + length;
  }
  if (head > extent.packet) return refuse(Reason::kMalformed);
  if (head > longest_) return refuse(Reason::kPacketTooLarge);
  extent.head = static_cast<std::uint32_t>(head);
  extent.wanted = head;
  extent.complete = front.size() >= head;
  return extent;
}

Part PacketReader::hand_out(const Extent& extent, ByteView bytes, bool is_input) {
  first_byte_ = bytes[0];
  const auto left = static_cast<std::uint32_t>(extent.packet - bytes.size());
  payload_left_ = left;
  const auto kind = extent.head != 0 ? Part::Kind::kPublish : Part::Kind::kPacket;
  return {kind, first_byte_, bytes, is_input, extent.header, extent.head, left};
}

std::optional<Part> PacketReader::next(ByteView& input) {
  if (kept_is_used_) {
    kept_ = {};  // frees the memory, because cut packets are rare
    kept_is_used_ = false;
  }
  if (problem_ || input.empty()) return std::nullopt;
  if (payload_left_ != 0) {
    const ByteView bytes = input.first(std::min<std::size_t>(payload_left_, input.size()));
    input = input.subspan(bytes.size());
    payload_left_ -= static_cast<std::uint32_t>(bytes.size());
    return Part{Part::Kind::kPayload, first_byte_, bytes, true, 0, 0, payload_left_};
  }

  if (kept_.empty()) {
    const Extent extent = measure(input);
    if (problem_) return std::nullopt;
    if (extent.complete) {
      const ByteView bytes = input.first(std::min(extent.packet, input.size()));
      input = input.subspan(bytes.size());
      return hand_out(extent, bytes, true);
    }
  }
  while (true) {
    const Extent extent = measure(kept_);
    if (problem_) return std::nullopt;
    if (extent.complete) {
      kept_is_used_ = true;
      return hand_out(extent, kept_, false);
    }
    if (input.empty()) return std::nullopt;
    const ByteView more = input.first(std::min(extent.wanted - kept_.size(), input.size()));
    kept_.insert(kept_.end(), more.begin(), more.end());
    input = input.subspan(more.size());
  }
}

}  // namespace remora::mqtt
