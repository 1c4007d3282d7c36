// SPDX-License-Identifier: Apache-2.0
//
// A broker without sockets: reads packets byte by byte, records them, and answers as the standard
// demands. It shares no code with the code under test.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/mqtt_packets.h"

namespace remora {

// A whole packet of a stream.
struct PlainPacket {
  int type = 0;
  int flags = 0;
  Bytes body;
  Bytes bytes;  // with the fixed header

  int qos() const { return flags >> 1 & 3; }
  bool operator==(const PlainPacket&) const = default;
};

// Takes the whole packets from the front of `stream`.
std::vector<PlainPacket> take_packets(Bytes& stream);

struct PlainPublish {
  std::string topic;
  int qos = 0;
  int id = 0;
  Bytes properties;
  std::string message;
};
PlainPublish read_publish(const PlainPacket& packet, MqttVersion version);

// The fields of a CONNECT that tests look at.
struct PlainConnect {
  MqttVersion version;
  int flags = 0;
  std::string client_id;
  bool has_will() const { return (flags & 4) != 0; }
  bool is_clean() const { return (flags & 2) != 0; }
};
PlainConnect read_connect(const PlainPacket& packet);

struct FakeBroker {
  // ---- its behaviour
  Bytes connack_properties;  // MQTT 5
  int return_code = 0;       // in the CONNACK; any other code refuses the client
  int granted = 0;           // the code in a SUBACK
  bool answers_connect = true;
  bool answers_messages = true;

  // ---- what it has received
  MqttVersion version = MqttVersion::k311;
  std::vector<PlainPacket> packets;
  std::vector<PlainPublish> messages;
  bool has_closed = false;  // after DISCONNECT, or a refusal
  std::size_t in_flight = 0;
  std::size_t most_in_flight = 0;

  // Takes bytes that have arrived. Answers wait in `answers`.
  void get(const Bytes& bytes);
  std::size_t count(PacketType type) const;

  Bytes answers;

 private:
  void handle(const PlainPacket& packet);

  Bytes unread_;
};

// The packets that a broker sends.
Bytes connack_packet(MqttVersion version, int code = 0, const Bytes& properties = {});
Bytes broker_ack(int type, std::size_t id);

}  // namespace remora
