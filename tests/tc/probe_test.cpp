// SPDX-License-Identifier: Apache-2.0
//
// The TC probe after the real chain, with real frames, because BPF_PROG_TEST_RUN has no metadata
// for TC. Test runs on the same maps open the connections; only the segment in question goes
// over the wire.
#include <linux/pkt_cls.h>
#include <time.h>

#include <chrono>
#include <cstring>
#include <ostream>

#include "tests/support/private_network.h"
#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 60s;                            // for what must come
const Bytes kStamps{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};  // RFC 7323 §3.2
// An address of the LB itself.
constexpr std::uint32_t kLbAddress = ipv4("10.1.99.1");

class ProbeTest : public SteerTest {
 protected:
  explicit ProbeTest(const ChainLimits& limits = {}) : SteerTest(limits) {}

  void SetUp() override {
    SteerTest::SetUp();
    if (IsSkipped()) return;
    network_ = std::make_unique<PrivateNetwork>(kLbAddress);
    network_->attach_tc(chain_->probe_fd());
    network_->attach_xdp(chain_->root_fd());
  }

  void daemon_is_silent() { is_silent_ = true; }

  // A connection in the temperature group.
  Client temperature_client(std::uint16_t port = kClient.port) {
    predict(kClient, kTemperature, kTemperatureTopic);
    return connect({kClient.address, port});
  }

  // A client whose segments carry timestamps.
  static Client stamped(Peer from) {
    Client client(from, service_for(from));
    client.carry(kStamps);
    return client;
  }

  // First renews the time at which the daemon was alive, because the test may have taken long.
  void transmit(const Segment& segment) {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    beat(is_silent_ ? 0
                    : static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
                          static_cast<std::uint64_t>(now.tv_nsec));
    network_->transmit(segment.frame());
  }

  std::vector<Event> awaited_events() { return chain_->take_events(kPatience / 1ms); }

  std::unique_ptr<PrivateNetwork> network_;

 private:
  void beat(std::uint64_t at_ns) {
    chain_->map<std::uint32_t, heartbeat>("heartbeat").put(0, {at_ns});
  }

  bool is_silent_ = false;
};

TEST_F(ProbeTest, UnmarkedFramesPassUntouched) {
  for (const Bytes& frame :
       {data(bytes_of("ssh")).from(kClient).to({kService.address, 22}).frame(),
        ipv4_frame(kClient, kService, IPPROTO_UDP, Bytes(30, 7)), Bytes(60, 0xff)}) {
    const TcResult out = run_tc(chain_->probe_fd(), frame);

    EXPECT_EQ(out.verdict, TC_ACT_UNSPEC);
    EXPECT_EQ(out.frame, frame);
  }
  network_->settle();  // other traffic would reach the host's own sockets
  EXPECT_EQ(counter(COUNT_REPORTED), 0u);
}

TEST_F(ProbeTest, ReportsTheWholeMispredictedSegment) {
  predict(kClient, kTemperature, kTemperatureTopic);
  Client client = open(stamped(kClient));
  const Bytes good = publish_packet(kTemperatureTopic, "21");
  const Bytes payload = good + publish_packet(kHumidityTopic, std::string(1000, 'h')) + good;
  const Segment segment = client.send(payload);

  transmit(segment);

  const auto records = awaited_events();
  ASSERT_EQ(records.size(), 1u);
  const event& head = records[0].head;
  EXPECT_EQ(head.action, ACTION_RESET);
  EXPECT_EQ(head.flags, EVENT_SEGMENT);
  EXPECT_EQ(head.seq, segment.first_seq());
  EXPECT_EQ(head.ack, Client::kAcknowledged);
  EXPECT_EQ(head.real, real_index(kTemperature, 1));
  EXPECT_EQ(head.from_group, kTemperature);
  EXPECT_EQ(head.to_group, kHumidity);
  EXPECT_EQ(head.publish_offset, good.size());
  EXPECT_EQ(head.topic_offset, good.size() + 5);
  EXPECT_EQ(head.topic_len, kHumidityTopic.size());
  EXPECT_EQ(head.data_len, payload.size());
  EXPECT_EQ(head.options_len, kStamps.size());
  EXPECT_EQ(Bytes(head.options, head.options + head.options_len), kStamps);
  EXPECT_EQ(head.flow.port, htobe16(kClient.port));
  EXPECT_EQ(head.flow.service, kServiceNumber);
  EXPECT_EQ(head.flow.client.word[3], htobe32(kClient.address.ipv4()));
  EXPECT_EQ(bytes_of(records[0].data), payload);
  EXPECT_EQ(records[0].topic(), kHumidityTopic);
}

TEST_F(ProbeTest, WhileTheDaemonIsAliveTheRstIsItsBusiness) {
  Client client = temperature_client();

  transmit(client.send(publish_packet(kHumidityTopic)));
  ASSERT_EQ(awaited_events().size(), 1u);
  network_->settle();

  EXPECT_EQ(counter(COUNT_REPORTED), 1u);
  EXPECT_EQ(counter(COUNT_PROBE_RST), 0u);
  EXPECT_FALSE(network_->receive(0ms));
}

TEST_F(ProbeTest, EthernetPaddingIsNotReported) {
  Client client = temperature_client();
  route("t", kHumidity);
  const Bytes tiny = publish_packet("t", "");

  transmit(client.send(tiny).padded_to(60));

  const auto records = awaited_events();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(bytes_of(records[0].data), tiny);
  EXPECT_EQ(records[0].head.options_len, 0);
}

TEST_F(ProbeTest, APublishThatBeganEarlierSaysSo) {
  Client client = temperature_client();
  const Bytes wrong = publish_packet(kHumidityTopic);
  send(client.send({wrong[0], wrong[1]}));

  transmit(client.send(Bytes(wrong.begin() + 2, wrong.end())));

  const auto records = awaited_events();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].head.flags, EVENT_SEGMENT | EVENT_BEGAN_EARLIER);
  EXPECT_EQ(records[0].topic(), kHumidityTopic);
}

TEST_F(ProbeTest, SegmentsOfManyConnectionsAreReportedOneByOne) {
  settings_.resets_per_client = 100;
  write(settings_);
  const std::size_t connections = 50;
  std::vector<Segment> wrong;
  for (std::size_t i = 0; i < connections; i++) {
    Client client = temperature_client(static_cast<std::uint16_t>(40'000 + i));
    wrong.push_back(client.send(publish_packet(kHumidityTopic, std::to_string(i))));
  }

  for (const Segment& segment : wrong) transmit(segment);
  network_->settle();

  const auto records = chain_->take_events();
  ASSERT_EQ(records.size(), connections);
  for (std::size_t i = 0; i < connections; i++)
    EXPECT_EQ(bytes_of(records[i].data), wrong[i].payload());
}

void expect_the_rst_of(const std::optional<Packet>& rst) {
  ASSERT_TRUE(rst);
  EXPECT_EQ(rst->bytes().size(), 54u);
  EXPECT_EQ(rst->destination_mac(), kGatewayMac);
  EXPECT_EQ(rst->source_mac(), kLbMac);
  EXPECT_EQ(rst->source(), kService.address);
  EXPECT_EQ(rst->destination(), kClient.address);
  EXPECT_EQ(be16toh(rst->tcp().source), kService.port);
  EXPECT_EQ(be16toh(rst->tcp().dest), kClient.port);
  EXPECT_EQ(be32toh(rst->tcp().seq), Client::kAcknowledged);
  EXPECT_TRUE(rst->tcp().rst);
  EXPECT_FALSE(rst->tcp().ack);
  EXPECT_TRUE(rst->checksums_are_valid());
}

TEST_F(ProbeTest, WhileTheDaemonIsSilentTheProbeSendsTheRst) {
  daemon_is_silent();
  Client client = temperature_client();

  transmit(
      client.send(publish_packet(kHumidityTopic, std::string(1000, 'h'))).options(Bytes(12, 1)));

  expect_the_rst_of(network_->receive(kPatience));
  const auto records = awaited_events();
  ASSERT_EQ(records.size(), 1u) << "for the daemon that comes back";
  EXPECT_EQ(records[0].head.flags, EVENT_SEGMENT | EVENT_RESET_SENT);
  EXPECT_EQ(counter(COUNT_PROBE_RST), 1u);
  EXPECT_EQ(counter(COUNT_REPORTED), 1u);
}

TEST_F(ProbeTest, TheRstOfATinySegmentIsWholeToo) {
  daemon_is_silent();
  route("t", kHumidity);
  Client client = temperature_client();

  transmit(client.send(publish_packet("t", "")));

  expect_the_rst_of(network_->receive(kPatience));
}

TEST_F(ProbeTest, PolicyDropSendsNoRstEvenWhileTheDaemonIsSilent) {
  daemon_is_silent();
  group(kHumidity, 1, POLICY_DROP);
  Client client = temperature_client();

  transmit(client.send(publish_packet(kHumidityTopic)));
  const auto records = awaited_events();
  network_->settle();

  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].head.action, ACTION_DROPPED);
  EXPECT_EQ(records[0].head.flags, EVENT_SEGMENT);
  EXPECT_EQ(counter(COUNT_PROBE_RST), 0u);
  EXPECT_FALSE(network_->receive(0ms));
}

// Over IPv6, and with VLAN tags, the first of which the kernel removes from the frame before the
// probe sees it.
struct Way {
  const char* name;
  Peer client;
  std::vector<VlanTag> tags;

  friend std::ostream& operator<<(std::ostream& out, const Way& way) { return out << way.name; }
};

class EveryWayProbeTest : public ProbeTest, public testing::WithParamInterface<Way> {
 protected:
  void SetUp() override {
    ProbeTest::SetUp();
    if (!IsSkipped()) ipv6_reals();
  }

  Peer client() const { return GetParam().client; }
  Peer service() const { return client().address.is_ipv6() ? kService6 : kService; }

  Segment wrong_segment(const Bytes& payload) {
    predict(client(), kTemperature, kTemperatureTopic);
    return open(stamped(client())).send(payload).tagged(GetParam().tags);
  }
};

TEST_P(EveryWayProbeTest, ReportsTheWholeMispredictedSegment) {
  const Bytes good = publish_packet(kTemperatureTopic, "21");
  const Bytes payload = good + publish_packet(kHumidityTopic, std::string(1000, 'h')) + good;
  const Segment segment = wrong_segment(payload);

  transmit(segment);

  const auto records = awaited_events();
  ASSERT_EQ(records.size(), 1u);
  const event& head = records[0].head;
  EXPECT_EQ(head.action, ACTION_RESET);
  EXPECT_EQ(head.flags, EVENT_SEGMENT);
  EXPECT_EQ(head.seq, segment.first_seq());
  EXPECT_EQ(head.ack, Client::kAcknowledged);
  EXPECT_EQ(head.options_len, 12);
  EXPECT_EQ(head.options[2], 8);
  EXPECT_EQ(head.publish_offset, good.size());
  EXPECT_EQ(head.flow.port, htobe16(client().port));
  EXPECT_EQ(head.flow.service, kServiceNumber);
  const address from = abi_address(client().address);
  EXPECT_EQ(std::memcmp(&head.flow.client, &from, sizeof(from)), 0);
  EXPECT_EQ(bytes_of(records[0].data), payload);
  EXPECT_EQ(records[0].topic(), kHumidityTopic);
}

TEST_P(EveryWayProbeTest, WhileTheDaemonIsSilentTheProbeSendsTheRst) {
  daemon_is_silent();

  transmit(wrong_segment(publish_packet(kHumidityTopic, "")).padded_to(130));

  const std::optional<Packet> rst = network_->receive(kPatience);
  ASSERT_TRUE(rst);
  const bool over_ipv6 = client().address.is_ipv6();
  EXPECT_EQ(rst->tags(), GetParam().tags);
  EXPECT_EQ(rst->is_ipv6(), over_ipv6);
  EXPECT_EQ(rst->bytes().size(), rst->link_size() + (over_ipv6 ? 60u : 40u));
  EXPECT_EQ(rst->destination_mac(), kGatewayMac);
  EXPECT_EQ(rst->source_mac(), kLbMac);
  EXPECT_EQ(rst->source(), service().address);
  EXPECT_EQ(rst->destination(), client().address);
  EXPECT_EQ(be16toh(rst->tcp().source), service().port);
  EXPECT_EQ(be16toh(rst->tcp().dest), client().port);
  EXPECT_EQ(be32toh(rst->tcp().seq), Client::kAcknowledged);
  EXPECT_TRUE(rst->tcp().rst);
  EXPECT_FALSE(rst->tcp().ack);
  EXPECT_TRUE(rst->checksums_are_valid());
  EXPECT_EQ(counter(COUNT_PROBE_RST), 1u);
}

INSTANTIATE_TEST_SUITE_P(
    Packets, EveryWayProbeTest,
    testing::Values(Way{"ipv4", kClient, {}}, Way{"ipv6", kClient6, {}},
                    Way{"ipv4_tagged", kClient, {{100}}}, Way{"ipv6_tagged", kClient6, {{100}}},
                    Way{"ipv4_tagged_twice", kClient, {{20, ETH_P_8021AD}, {100}}},
                    Way{"ipv6_tagged_twice", kClient6, {{20, ETH_P_8021AD}, {100}}}),
    [](const auto& way) { return std::string(way.param.name); });

class FullRingProbeTest : public ProbeTest {
 protected:
  FullRingProbeTest() : ProbeTest({.event_bytes = 4096}) {}
};

TEST_F(FullRingProbeTest, WhatDoesNotFitTheRingIsResetAtOnceAndTheNextIsReported) {
  settings_.resets_per_client = 100;
  write(settings_);
  Client talkative = connect({kClient.address + 1, 40'000});
  while (counter(COUNT_EVENT_LOST) == 0)
    publish(talkative, "topic/" + std::to_string(counter(COUNT_LEARNED)));
  const std::uint64_t lost = counter(COUNT_EVENT_LOST);
  Client client = temperature_client();

  transmit(client.send(publish_packet(kHumidityTopic)));

  expect_the_rst_of(network_->receive(kPatience));
  EXPECT_EQ(counter(COUNT_EVENT_LOST), lost + 1);
  EXPECT_EQ(counter(COUNT_REPORTED), 0u);
  EXPECT_EQ(flow_of(client)->state, FLOW_CONDEMNED);

  events();
  Client next = temperature_client(40'001);
  transmit(next.send(publish_packet(kHumidityTopic)));
  const auto records = awaited_events();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].head.flow.port, htobe16(40'001));
  EXPECT_EQ(counter(COUNT_PROBE_RST), 1u);
}

}  // namespace
}  // namespace remora
