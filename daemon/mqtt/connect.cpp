// SPDX-License-Identifier: Apache-2.0
#include "daemon/mqtt/connect.h"

#include <algorithm>
#include <array>

#include "daemon/mqtt/cursor.h"
#include "daemon/mqtt/properties.h"

namespace remora::mqtt {
namespace {

// Flags of a CONNECT (§3.1.2.3).
constexpr std::uint8_t kReserved = 0x01;
constexpr std::uint8_t kCleanStart = 0x02;
constexpr std::uint8_t kWill = 0x04;
constexpr std::uint8_t kWillQosAndRetain = 0x38;
constexpr std::uint8_t kPassword = 0x40;
constexpr std::uint8_t kUserName = 0x80;

constexpr std::uint8_t kFirstByte = 0x10;

// Protocol names with their lengths: that of MQTT 3.1.1 and 5, and that of 3.1.
constexpr std::array<std::uint8_t, 6> kName{0, 4, 'M', 'Q', 'T', 'T'};
constexpr std::array<std::uint8_t, 8> kNameOf31{0, 6, 'M', 'Q', 'I', 's', 'd', 'p'};

// The level without a bridge's bit, if the name has such a version.
std::optional<Version> version_of(ByteView name, std::uint8_t level) {
  const int number = level & 0x7f;
  if (std::ranges::equal(name, kNameOf31)) {
    return number == 3 ? std::optional(Version::k31) : std::nullopt;
  }
  if (number == 4) return Version::k311;
  return number == 5 ? std::optional(Version::k5) : std::nullopt;
}

bool agree(ByteView bytes, ByteView name) {
  return std::equal(bytes.begin(),
                    bytes.begin() + std::ptrdiff_t(std::min(bytes.size(), name.size())),
                    name.begin());
}

// Reads the properties that Remora must know. Returns false if they are malformed.
bool read_properties(Connect& connect) {
  PropertyReader reader(connect.properties);
  while (const auto property = reader.next()) {
    if (property->id == PropertyId::kSessionExpiry) connect.session_expiry_s = property->number;
    if (property->id == PropertyId::kAuthenticationMethod) connect.has_authentication_method = true;
  }
  return !reader.is_malformed();
}

}  // namespace

Beginning beginning_of(ByteView stream) {
  if (stream.empty()) return {Beginning::Kind::kOpen};
  if (stream[0] != kFirstByte) return {Beginning::Kind::kOther};
  Cursor cursor(stream.subspan(1));
  const std::uint32_t remaining = cursor.variable_integer();
  if (cursor.failed()) {
    return {stream.size() < 5 ? Beginning::Kind::kOpen : Beginning::Kind::kOther};
  }
  const std::size_t packet = 1 + cursor.at() + remaining;
  const ByteView body = cursor.rest();
  const bool is_31 = agree(body, kNameOf31);
  const ByteView name = is_31 ? ByteView(kNameOf31) : ByteView(kName);
  if (!is_31 && !agree(body, kName)) return {Beginning::Kind::kOther};
  if (remaining <= name.size()) return {Beginning::Kind::kOther};
  if (body.size() <= name.size()) return {Beginning::Kind::kOpen, packet};
  if (!version_of(name, body[name.size()])) return {Beginning::Kind::kOther};
  return {Beginning::Kind::kConnect, packet};
}

std::optional<Connect> parse_connect(ByteView packet) {
  const Beginning beginning = beginning_of(packet);
  if (beginning.kind != Beginning::Kind::kConnect || beginning.packet != packet.size()) {
    return std::nullopt;
  }
  Cursor cursor(packet.subspan(1));
  cursor.variable_integer();
  const ByteView name =
      cursor.rest().first(cursor.rest()[1] == kName[1] ? kName.size() : kNameOf31.size());
  cursor.take(name.size());
  Connect connect{};
  connect.level = cursor.byte();
  connect.version = *version_of(name, connect.level);
  connect.flags = cursor.byte();
  connect.keep_alive_s = cursor.two_bytes();
  const auto properties = [&]() -> ByteView {
    return connect.version == Version::k5 ? cursor.take(cursor.variable_integer()) : ByteView();
  };
  connect.properties = properties();
  const ByteView id = cursor.string();
  connect.client_id = {reinterpret_cast<const char*>(id.data()), id.size()};
  if (connect.has_will()) {
    properties();
    cursor.string();  // its topic
    cursor.string();  // its payload
  }
  connect.credentials = cursor.rest();
  if ((connect.flags & kUserName) != 0) cursor.string();
  if ((connect.flags & kPassword) != 0) cursor.string();
  const bool is_malformed = cursor.failed() || cursor.left() != 0 ||
                            (connect.flags & kReserved) != 0 || !read_properties(connect);
  return is_malformed ? std::nullopt : std::optional(connect);
}

Bytes further_connect(const Connect& connect, std::string_view client_id) {
  Bytes body;
  const auto append = [&](ByteView bytes) { body.insert(body.end(), bytes.begin(), bytes.end()); };
  append(connect.version == Version::k31 ? ByteView(kNameOf31) : ByteView(kName));
  body.push_back(connect.level);
  constexpr std::uint8_t kOfWill = kWill | kWillQosAndRetain;
  body.push_back(static_cast<std::uint8_t>((connect.flags & ~kOfWill) | kCleanStart));
  body.push_back(static_cast<std::uint8_t>(connect.keep_alive_s >> 8));
  body.push_back(static_cast<std::uint8_t>(connect.keep_alive_s));
  if (connect.version == Version::k5) {
    Bytes kept;
    PropertyReader reader(connect.properties);
    while (const auto property = reader.next()) {
      if (property->id == PropertyId::kSessionExpiry ||
          property->id == PropertyId::kTopicAliasMaximum) {
        continue;
      }
      kept.insert(kept.end(), property->whole.begin(), property->whole.end());
    }
    append_variable_integer(body, static_cast<std::uint32_t>(kept.size()));
    append(kept);
  }
  append_string(body, {reinterpret_cast<const std::uint8_t*>(client_id.data()), client_id.size()});
  append(connect.credentials);

  Bytes packet{kFirstByte};
  append_variable_integer(packet, static_cast<std::uint32_t>(body.size()));
  packet.insert(packet.end(), body.begin(), body.end());
  return packet;
}

}  // namespace remora::mqtt
