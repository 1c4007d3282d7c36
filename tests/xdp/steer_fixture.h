// SPDX-License-Identifier: Apache-2.0
//
// Fixture of the packet path's tests: one service, a few groups and routes, and verbs that send
// packets through the whole chain.
//
// Real N of group G has the address 10.2.G.N or fd00:2::G.N, so an outer destination shows at once
// where a packet went.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bpf/abi.h"
#include "daemon/mqtt/route_table.h"
#include "tests/support/chain.h"
#include "tests/support/client.h"
#include "tests/support/mqtt_packets.h"
#include "tests/support/packet.h"

namespace remora {

inline constexpr Peer kService{ipv4("10.1.50.200"), 1883};
inline constexpr Peer kClient{ipv4("10.1.1.7"), 40'000};
inline constexpr Peer kService6{ipv6("2001:db8:50::200"), 1883};
inline constexpr Peer kClient6{ipv6("2001:db8:1::7"), 40'000};
inline constexpr Mac kRouterMac{0x02, 0x42, 0x0a, 0x01, 0x00, 0x01};

inline constexpr std::uint16_t kDefault = 0, kTemperature = 1, kHumidity = 2, kNoGroupYet = 3;
inline constexpr std::uint32_t kLinkMtu = 1500;
inline constexpr std::uint16_t kServiceNumber = 5;

inline constexpr std::string_view kTemperatureTopic = "measurements/temperature";
inline constexpr std::string_view kHumidityTopic = "measurements/humidity";

// The result of one packet in the chain.
struct Outcome {
  xdp_action verdict;
  Bytes metadata;
  Packet packet;

  bool dropped() const { return verdict == XDP_DROP; }
  // Wrapped and sent to a real.
  bool forwarded() const;
  // The group, and the last word of the address, of the real.
  std::uint16_t group() const { return packet.destination().last_word() >> 8 & 0xff; }
  std::uint32_t real() const { return packet.destination().last_word(); }
  // Answered with a RST by the stage.
  bool is_rst() const;
  // Passed up with a mark for the probe.
  bool is_marked() const { return verdict == XDP_PASS && metadata.size() == sizeof(struct mark); }
  struct mark mark() const;
};

class SteerTest : public testing::Test {
 protected:
  explicit SteerTest(const ChainLimits& limits = {}) : limits_(limits) {}

  // Loads the programs and builds the world: temperature and humidity have routes,
  // everything else belongs to the default group.
  void SetUp() override;

  // ---- the world ----
  void service(Peer at, std::uint16_t number, std::uint16_t default_group);
  // Adds a group of `reals` equal reals, which own the slots in turn.
  void group(std::uint16_t number, std::uint32_t reals = 1, policy policy = POLICY_RESET);
  // From now on the reals of existing and new groups are IPv4 or IPv6; IPv4 at first.
  void ipv4_reals();
  void ipv6_reals();
  // From now on all new connections of a client go to one real of the group.
  void client_affinity(std::uint16_t group);
  void ring(std::uint16_t group, const std::vector<std::uint32_t>& reals_of_slots);
  // Index into `reals` of a group's real, from 1.
  static std::uint32_t real_index(std::uint16_t group, std::uint32_t real);
  // Adds a route to the present generation.
  void route(std::string_view filter, std::uint16_t group);
  // Begins a new, empty set of routes.
  void forget_routes();
  void predict(Peer client, std::uint16_t group, std::string_view topic = "");
  void write(const settings& settings);

  // ---- traffic ----
  Outcome send(const Segment& segment);
  Outcome send_frame(const Bytes& frame);
  // SYN, ACK and CONNECT of a new connection.
  Client connect(Peer from = kClient, std::uint32_t isn = 1000,
                 MqttVersion version = MqttVersion::k311);
  Client open(Client client, MqttVersion version = MqttVersion::k311);
  // The same for a client that answers a question and then repeats its SYN.
  Client connect_and_answer(Peer from, std::uint32_t isn);
  // Its SYN, or the second one.
  Outcome send_syn_and_answer(const Client& client);
  static bool is_question(const Outcome& out);
  // The RST of a host that gets a SYN-ACK it did not ask for (RFC 9293 §3.10.7.1) or, in SYN-SENT,
  // one that acknowledges something it did not send (§3.10.7.3).
  static Segment answer_to(const Client& client, const Outcome& question);
  Outcome publish(Client& client, std::string_view topic, std::string_view message = "21.5");

  // ---- results ----
  std::uint64_t counter(enum counter which) const { return chain_->counter(which); }
  // PUBLISHes on connections at a group.
  std::uint64_t messages(std::uint16_t group, message_verdict verdict, unsigned qos) const {
    return chain_->messages(group).of[4 * verdict + qos];
  }
  std::uint64_t hash(std::string_view topic) const;
  std::optional<flow> flow_of(const Client& client) const;
  std::optional<flow> half_open_of(const Client& client) const;
  std::optional<prediction> prediction_of(Peer client) const;
  // With what is counted against it; nothing: it has no entry.
  std::optional<struct client> counts_of(Peer client) const;
  std::vector<Event> events() { return chain_->take_events(); }

  // The service of the client's family.
  static Peer service_for(Peer client) { return client.address.is_ipv6() ? kService6 : kService; }
  static address abi_address(const IpAddress& address);
  static flow_key key_of(const Client& client);

  std::unique_ptr<Chain> chain_;
  settings settings_{};

 private:
  ChainLimits limits_;
  topic_keys keys_{};
  void rebuild_groups();

  bool ipv6_reals_ = false;
  std::vector<Route> routes_;           // of the present generation, groups by number
  std::vector<std::uint64_t> written_;  // their keys
};

}  // namespace remora
