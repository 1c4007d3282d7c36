// SPDX-License-Identifier: Apache-2.0
#include "tests/support/plain_reader.h"

#include <map>
#include <stdexcept>

namespace remora {
namespace {

// The body ended too soon, or holds what the standard does not know.
struct Malformed {};

// Reads a packet's body from its beginning.
class Body {
 public:
  Body(const Bytes& stream, std::size_t begin, std::size_t end)
      : stream_(stream), at_(begin), end_(end) {}

  std::size_t at() const { return at_; }

  std::uint8_t byte() {
    if (at_ == end_) throw Malformed();
    return stream_.at(at_++);
  }

  std::size_t two_bytes() {
    const std::size_t high = byte();
    return high * 256 + byte();
  }

  std::string bytes(std::size_t count) {
    std::string out;
    for (std::size_t i = 0; i < count; i++) out.push_back(static_cast<char>(byte()));
    return out;
  }

  // With a length in front.
  std::string string() { return bytes(two_bytes()); }

  // MQTT 5.0 §1.5.5.
  std::size_t variable_byte_integer() {
    std::size_t value = 0;
    for (std::size_t multiplier = 1; multiplier <= 128 * 128 * 128; multiplier *= 128) {
      const std::uint8_t digit = byte();
      value += (digit & 127) * multiplier;
      if (!(digit & 128)) return value;
    }
    throw Malformed();
  }

 private:
  const Bytes& stream_;
  std::size_t at_, end_;
};

// The alias among a PUBLISH's properties (MQTT 5.0 §3.3.2.3). Throws Malformed on an
// alias of 0 and on a second one, too.
std::optional<std::size_t> read_alias(Body& body) {
  std::optional<std::size_t> alias;
  const std::size_t length = body.variable_byte_integer();
  const std::size_t end = body.at() + length;
  while (body.at() < end) {
    switch (body.byte()) {
      case 0x01:  // payload format indicator
        body.byte();
        break;
      case 0x02:  // message expiry interval
        body.bytes(4);
        break;
      case 0x03:  // content type
      case 0x08:  // response topic
      case 0x09:  // correlation data
        body.string();
        break;
      case 0x0b:  // subscription identifier
        body.variable_byte_integer();
        break;
      case 0x23:  // topic alias
        if (alias) throw Malformed();
        alias = body.two_bytes();
        if (*alias == 0) throw Malformed();
        break;
      case 0x26:  // user property
        body.string();
        body.string();
        break;
      default:
        throw Malformed();
    }
  }
  if (body.at() != end) throw Malformed();
  return alias;
}

// Of a character that begins with `first`; 0: none does.
std::size_t bytes_of_character(std::uint8_t first) {
  if (first < 0x80) return 1;
  if (first >= 0xc0 && first < 0xe0) return 2;
  if (first >= 0xe0 && first < 0xf0) return 3;
  if (first >= 0xf0 && first < 0xf8) return 4;
  return 0;
}

class Reader {
 public:
  explicit Reader(const Bytes& stream) : stream_(stream) {}

  SessionReading read() {
    const StreamReading packets = read_stream(stream_);
    for (const StreamPacket& packet : packets.packets) {
      if (packet.offset == 0) read_connect(packet);
      if (packet.first_byte >> 4 == kPublish) read_publish(packet);
    }
    if (packets.malformed) reading_.malformed_at = end_of(packets);
    return reading_;
  }

 private:
  static std::size_t end_of(const StreamReading& packets) {
    if (packets.packets.empty()) return 0;
    return packets.packets.back().offset + packets.packets.back().length;
  }

  Body body_of(const StreamPacket& packet) {
    Body header(stream_, packet.offset + 1, packet.offset + packet.length);
    header.variable_byte_integer();
    return {stream_, header.at(), packet.offset + packet.length};
  }

  // Protocol name and version (MQTT 5.0 §3.1.2.1, §3.1.2.2).
  void read_connect(const StreamPacket& packet) {
    if (packet.first_byte >> 4 != kConnect) return;
    try {
      Body body = body_of(packet);
      body.string();
      reading_.version = static_cast<MqttVersion>(body.byte());
    } catch (const std::out_of_range&) {  // behind the end of the stream
    } catch (const Malformed&) {
    }
  }

  void read_publish(const StreamPacket& packet) {
    ReadPublish publish{.offset = packet.offset, .qos = packet.first_byte >> 1 & 3, .topic = {}};
    std::optional<std::size_t> alias;
    try {
      Body body = body_of(packet);
      publish.topic = body.string();
      if (publish.qos > 0) body.two_bytes();  // packet identifier
      if (reading_.version == MqttVersion::k5) alias = read_alias(body);
    } catch (const Malformed&) {
      publish.state = TopicState::kInvalid;
    } catch (const std::out_of_range&) {  // goes on behind the end of the stream
      return;
    }
    if (publish.state == TopicState::kGood) resolve(publish, alias);
    if (publish.state != TopicState::kGood) publish.topic.clear();
    reading_.publishes.push_back(publish);
  }

  // MQTT 5.0 §3.3.2.3.4.
  void resolve(ReadPublish& publish, std::optional<std::size_t> alias) {
    if (publish.topic.empty()) {
      const auto known = alias ? aliases_.find(*alias) : aliases_.end();
      if (known == aliases_.end())
        publish.state = TopicState::kUnknownAlias;
      else
        publish.topic = known->second;
    } else if (!is_topic_name(publish.topic)) {
      publish.state = TopicState::kInvalid;
      if (alias) aliases_.erase(*alias);
    } else if (alias) {
      aliases_[*alias] = publish.topic;
    }
  }

  const Bytes& stream_;
  SessionReading reading_;
  std::map<std::size_t, std::string> aliases_;
};

}  // namespace

SessionReading read_session(const Bytes& stream) {
  return Reader(stream).read();
}

bool is_topic_name(std::string_view topic) {
  if (topic.empty() || topic.size() > 65'535) return false;
  for (std::size_t at = 0; at < topic.size();) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(topic[at + i]); };
    const std::size_t count = bytes_of_character(byte(0));
    if (count == 0 || at + count > topic.size()) return false;
    std::uint32_t character = count == 1 ? byte(0) : byte(0) & (0xffu >> (count + 1));
    for (std::size_t i = 1; i < count; i++) {
      if ((byte(i) & 0xc0) != 0x80) return false;
      character = character << 6 | (byte(i) & 0x3fu);
    }
    // The shortest form only, no surrogates, nothing beyond the last character.
    const std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (character < least[count] || character > 0x10ffff) return false;
    if (character >= 0xd800 && character <= 0xdfff) return false;
    if (character == 0 || character == '+' || character == '#') return false;
    at += count;
  }
  return true;
}

}  // namespace remora
