// SPDX-License-Identifier: Apache-2.0
//
// The tests of the engine: one client, and brokers of several groups.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/router/world.h"

namespace remora {

inline constexpr int kConnack = 2;
inline constexpr int kSuback = 9;
inline constexpr int kPingresp = 13;

inline std::vector<std::string> topics_at(const FakeBroker& broker) {
  std::vector<std::string> topics;
  for (const PlainPublish& message : broker.messages) topics.push_back(message.topic);
  return topics;
}

inline std::vector<std::string> messages_at(const FakeBroker& broker) {
  std::vector<std::string> messages;
  for (const PlainPublish& message : broker.messages) messages.push_back(message.message);
  return messages;
}

// A CONNECT in which everything may vary.
inline Bytes connect_with(MqttVersion version, int flags, std::string_view id,
                          const Bytes& properties = {}) {
  Bytes body = utf8_string(version == MqttVersion::k31 ? "MQIsdp" : "MQTT");
  body.push_back(static_cast<std::uint8_t>(version));
  body.push_back(static_cast<std::uint8_t>(flags));
  body = body + two_bytes(60);
  if (version == MqttVersion::k5) {
    body.push_back(static_cast<std::uint8_t>(properties.size()));
    body = body + properties;
  }
  body = body + utf8_string(id);
  if ((flags & 4) != 0) {
    if (version == MqttVersion::k5) body.push_back(0);
    body = body + utf8_string("will/t") + utf8_string("gone");
  }
  return control_packet(kConnect, 0, body);
}

class RelayTest : public testing::Test {
 protected:
  // Sends the CONNECT and waits for its CONNACK, as most clients do.
  void connect(MqttVersion version = MqttVersion::k311) {
    world.send(connect_packet(version));
    world.run();
    ASSERT_EQ(world.received_types(), std::vector{kConnack});
  }
  void publish(std::string_view topic, std::string_view message = "m", int qos = 0,
               std::uint16_t id = 1) {
    world.send(publish_packet(topic, message, {.qos = qos, .packet_id = id}));
  }

  World world;
};

}  // namespace remora
