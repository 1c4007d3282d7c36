// SPDX-License-Identifier: Apache-2.0
#include "daemon/mqtt/publish.h"

#include "bpf/mqtt.h"
#include "daemon/mqtt/cursor.h"
#include "daemon/mqtt/properties.h"

namespace remora::mqtt {
namespace {

// Whether a PUBLISH may have the property (§3.3.2.3); bpf/mqtt.h has their numbers.
bool belongs_to_publish(PropertyId id) {
  switch (static_cast<std::uint8_t>(id)) {
    case PROPERTY_PAYLOAD_FORMAT:
    case PROPERTY_MESSAGE_EXPIRY:
    case PROPERTY_CONTENT_TYPE:
    case PROPERTY_RESPONSE_TOPIC:
    case PROPERTY_CORRELATION:
    case PROPERTY_SUBSCRIPTION_ID:
    case PROPERTY_TOPIC_ALIAS:
    case PROPERTY_USER:
      return true;
    default:
      return false;
  }
}

std::optional<Reason> read_properties(Publish& publish) {
  PropertyReader reader(publish.properties);
  while (const auto property = reader.next()) {
    if (!belongs_to_publish(property->id)) return Reason::kMalformed;
    if (property->id != PropertyId::kTopicAlias) continue;
    // §3.3.2.3.4: not twice, not 0.
    if (publish.alias != 0) return Reason::kProtocolError;
    if (property->number == 0) return Reason::kTopicAliasInvalid;
    publish.alias = static_cast<std::uint16_t>(property->number);
  }
  if (reader.is_malformed()) return Reason::kMalformed;
  return std::nullopt;
}

}  // namespace

std::variant<Publish, Reason> parse_publish(const Part& part, Version version) {
  Cursor cursor(part.bytes.first(part.head));
  cursor.take(part.header);
  Publish publish{.first_byte = part.first_byte, .topic = {}};
  const ByteView topic = cursor.string();
  publish.topic = {reinterpret_cast<const char*>(topic.data()), topic.size()};
  if (publish.qos() != 0) {
    publish.id_offset = static_cast<std::uint32_t>(cursor.at());
    publish.id = cursor.two_bytes();
    if (publish.id == 0) return Reason::kProtocolError;  // §2.2.1
  }
  if (version == Version::k5) {
    publish.properties = cursor.take(cursor.variable_integer());
    if (!publish.properties.empty()) {
      if (const auto problem = read_properties(publish)) return *problem;
    }
  }
  if (cursor.failed()) return Reason::kMalformed;
  return publish;
}

Bytes without_alias(const Publish& publish, std::string_view topic, std::size_t payload) {
  Bytes fields;
  append_string(fields, {reinterpret_cast<const std::uint8_t*>(topic.data()), topic.size()});
  if (publish.qos() != 0) {
    fields.push_back(static_cast<std::uint8_t>(publish.id >> 8));
    fields.push_back(static_cast<std::uint8_t>(publish.id));
  }
  Bytes kept;
  PropertyReader reader(publish.properties);
  while (const auto property = reader.next()) {
    if (property->id == PropertyId::kTopicAlias) continue;
    kept.insert(kept.end(), property->whole.begin(), property->whole.end());
  }
  append_variable_integer(fields, static_cast<std::uint32_t>(kept.size()));
  fields.insert(fields.end(), kept.begin(), kept.end());

  Bytes head{publish.first_byte};
  append_variable_integer(head, static_cast<std::uint32_t>(fields.size() + payload));
  head.insert(head.end(), fields.begin(), fields.end());
  return head;
}

}  // namespace remora::mqtt
