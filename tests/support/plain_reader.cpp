// SPDX-License-Identifier: Apache-2.0
#include "tests/support/plain_reader.h"

#include <map>
#include <stdexcept>

namespace remora {
namespace {

// The body ended too soon, or contains what the standard does not define.
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

  // With a length before it.
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

// The alias among a PUBLISH's properties (MQTT 5.0 §3.3.2.3). Throws Malformed also for an alias
// of 0 and for a second one.
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

// The length of a character that begins with `first`; 0: no character does.
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
    std::size_t end = 0;
    for (const StreamPacket& packet : packets.packets) {
      try {
        if (packet.first_byte >> 4 == kConnect) read_connect(packet);
        if (packet.first_byte >> 4 == kPublish) read_publish(packet);
      } catch (const Malformed&) {
        reading_.malformed_at = packet.offset;
        return reading_;
      } catch (const std::out_of_range&) {  // continues beyond the end of the stream
      }
      end = packet.offset + packet.length;
    }
    if (packets.malformed) reading_.malformed_at = end;
    return reading_;
  }

 private:
  Body body_of(const StreamPacket& packet) {
    Body header(stream_, packet.offset + 1, packet.offset + packet.length);
    header.variable_byte_integer();
    return {stream_, header.at(), packet.offset + packet.length};
  }

  // The first packet and no other; its protocol name and version (MQTT 5.0 §3.1, §3.1.2.1,
  // §3.1.2.2). Bridges set the version's highest bit.
  void read_connect(const StreamPacket& packet) {
    if (packet.offset > 0) throw Malformed();
    Body body = body_of(packet);
    const std::string name = body.string();
    if (name != "MQTT" && name != "MQIsdp") throw Malformed();
    reading_.version = static_cast<MqttVersion>(body.byte() & 127);
    body.byte();  // flags
    reading_.keep_alive = body.two_bytes();
  }

  void read_publish(const StreamPacket& packet) {
    Body body = body_of(packet);
    ReadPublish publish;
    publish.offset = packet.offset;
    publish.qos = packet.first_byte >> 1 & 3;
    publish.text = body.string();
    publish.decided_at = body.at();
    if (reading_.version == MqttVersion::k5) {
      if (publish.qos > 0) body.two_bytes();  // packet identifier
      publish.alias = read_alias(body).value_or(0);
      publish.decided_at = body.at();
    }
    resolve(publish);
    reading_.publishes.push_back(publish);
  }

  // MQTT 5.0 §3.3.2.3.4.
  void resolve(ReadPublish& publish) {
    if (publish.text.empty()) {
      const auto known = aliases_.find(publish.alias);
      if (known == aliases_.end())
        publish.state = TopicState::kUnknownAlias;
      else
        publish.topic = known->second;
    } else if (is_topic_name(publish.text)) {
      publish.topic = publish.text;
      if (publish.alias != 0) aliases_[publish.alias] = publish.text;
    } else {
      publish.state = TopicState::kInvalid;
      aliases_.erase(publish.alias);
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
