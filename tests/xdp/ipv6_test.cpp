// SPDX-License-Identifier: Apache-2.0
//
// The stage with IPv6 and VLAN tags: the same connection in other packets has the same result.
#include <algorithm>
#include <cstring>
#include <ostream>

#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

struct Way {
  const char* name;
  Peer client;
  std::vector<VlanTag> tags;

  friend std::ostream& operator<<(std::ostream& out, const Way& way) { return out << way.name; }
};

class EveryWayTest : public SteerTest, public testing::WithParamInterface<Way> {
 protected:
  void SetUp() override {
    SteerTest::SetUp();
    if (!IsSkipped()) ipv6_reals();
  }

  Peer client() const { return GetParam().client; }
  Peer service() const { return client().address.is_ipv6() ? kService6 : kService; }
  Outcome send_tagged(Segment segment) { return send(segment.tagged(GetParam().tags)); }

  // The part of the packet that the forwarder does not change.
  static Bytes behind_macs(const Bytes& frame) {
    return {frame.begin() + 2 * ETH_ALEN, frame.end()};
  }

  Client connected(std::uint16_t port = kClient.port) {
    Client opened({client().address, port}, service());
    send_tagged(opened.syn());
    send_tagged(opened.ack());
    send_tagged(opened.send(connect_packet()));
    return opened;
  }
};

TEST_P(EveryWayTest, SynGoesToTheDefaultGroupOfAnUnknownClient) {
  const Outcome out = send_tagged(Client(client(), service()).syn());

  ASSERT_TRUE(out.forwarded());
  EXPECT_EQ(out.group(), kDefault);
  EXPECT_EQ(counter(COUNT_SYN_UNKNOWN), 1u);
}

TEST_P(EveryWayTest, SynGoesToThePredictedGroup) {
  predict(client(), kTemperature);

  EXPECT_EQ(send_tagged(Client(client(), service()).syn()).group(), kTemperature);
  EXPECT_EQ(counter(COUNT_SYN_PREDICTED), 1u);
}

TEST_P(EveryWayTest, HandshakeAndConnectEstablish) {
  Client opened = connected();

  ASSERT_TRUE(flow_of(opened));
  EXPECT_FALSE(half_open_of(opened));
  EXPECT_EQ(flow_of(opened)->state, FLOW_ESTABLISHED);
  EXPECT_EQ(flow_of(opened)->edge, opened.next_seq());
  EXPECT_FALSE(flow_of(opened)->stream.blind);
  EXPECT_EQ(counts_of(client())->connections, 1u);
  EXPECT_EQ(counter(COUNT_NO_FLOW), 0u);
}

TEST_P(EveryWayTest, AConnectionKeepsItsGroupWhateverThePredictionSays) {
  predict(client(), kTemperature);
  Client opened = connected();
  predict(client(), kHumidity);

  EXPECT_EQ(send_tagged(opened.send(publish_packet(kTemperatureTopic))).group(), kTemperature);
  EXPECT_EQ(send_tagged(opened.fin()).group(), kTemperature);
  EXPECT_EQ(flow_of(opened)->state, FLOW_CLOSING);
}

TEST_P(EveryWayTest, APublishTeaches) {
  Client opened = connected();

  EXPECT_TRUE(send_tagged(opened.send(publish_packet("any/topic"))).forwarded());

  ASSERT_TRUE(prediction_of(client()));
  EXPECT_EQ(prediction_of(client())->group, kDefault);
  EXPECT_EQ(prediction_of(client())->topic_hash, hash("any/topic"));
  const std::vector<Event> learned = events();
  ASSERT_EQ(learned.size(), 1u);
  EXPECT_EQ(learned[0].head.action, ACTION_LEARNED);
  EXPECT_EQ(learned[0].topic(), "any/topic");
  const address expected = abi_address(client().address);
  EXPECT_EQ(std::memcmp(&learned[0].head.flow.client, &expected, sizeof(expected)), 0);
}

TEST_P(EveryWayTest, AMispredictGoesUpMarkedAndTheNextSynIsRight) {
  predict(client(), kTemperature, kTemperatureTopic);
  Client opened = connected();
  const Segment wrong = opened.send(publish_packet(kHumidityTopic)).tagged(GetParam().tags);

  const Outcome out = send(wrong);

  ASSERT_TRUE(out.is_marked());
  EXPECT_EQ(out.packet.bytes(), wrong.frame()) << "with everything that it came with";
  EXPECT_EQ(out.mark().from_group, kTemperature);
  EXPECT_EQ(out.mark().to_group, kHumidity);
  EXPECT_EQ(out.mark().seq, wrong.first_seq());
  EXPECT_EQ(send_tagged(Client({client().address, 41'000}, service()).syn()).group(), kHumidity);
}

TEST_P(EveryWayTest, ATopicCutAnywhereIsJudged) {
  group(kTemperature, 1, POLICY_KEEP);
  const Bytes packet = publish_packet(kTemperatureTopic, "21");
  for (std::size_t cut = 1; cut < packet.size(); cut++) {
    const auto middle = packet.begin() + static_cast<std::ptrdiff_t>(cut);
    predict(client(), kDefault);
    Client opened = connected(static_cast<std::uint16_t>(41'000 + cut));
    send_tagged(opened.send(Bytes(packet.begin(), middle)));
    send_tagged(opened.send(Bytes(middle, packet.end())));
    EXPECT_EQ(prediction_of(client())->group, kTemperature) << cut;
  }
}

TEST_P(EveryWayTest, WithoutAFlowThePredictionDecides) {
  predict(client(), kTemperature);
  Client unknown(client(), service());

  EXPECT_EQ(send_tagged(unknown.send(publish_packet(kHumidityTopic))).group(), kTemperature);
  EXPECT_EQ(counter(COUNT_NO_FLOW), 1u);
}

TEST_P(EveryWayTest, TheVictimsRstUndoesTheLesson) {
  Client forged = connected();
  send_tagged(forged.send(publish_packet("any/topic")));
  ASSERT_TRUE(prediction_of(client()));

  send_tagged(rst().from(client()).to(service()).seq(forged.isn() + 1));

  EXPECT_EQ(prediction_of(client())->group, NO_GROUP);
}

// TCP Fast Open: the server acknowledges the SYN alone, and the client sends its data
// again (RFC 7413 §4.2.2).
TEST_P(EveryWayTest, DataInASynAreCutOffAndJudgedBehindTheHandshake) {
  const Bytes opening = connect_packet() + publish_packet(kTemperatureTopic);
  const Bytes cookie{34, 10, 1, 2, 3, 4, 5, 6, 7, 8};
  Client opened(client(), service());

  for (const Bytes& data : {opening, Bytes{0x10}, Bytes(1200, 'x')}) {
    const Outcome out = send_tagged(opened.syn().payload(data).options(cookie));
    ASSERT_TRUE(out.forwarded());
    EXPECT_EQ(behind_macs(out.packet.inner().bytes()),
              behind_macs(opened.syn().options(cookie).tagged(GetParam().tags).frame()));
    EXPECT_TRUE(out.packet.checksums_are_valid());
  }
  EXPECT_EQ(counter(COUNT_SYN_DATA), 3u);
  EXPECT_FALSE(prediction_of(client()));

  send_tagged(opened.ack());
  send_tagged(opened.send(opening));
  EXPECT_EQ(prediction_of(client())->group, kTemperature);
}

// TCP options with which the two ends could agree on something other than MQTT in one TCP stream.
const Bytes kOtherStreams[] = {
    {30, 4, 0x01, 0x81},                           // MP_CAPABLE, RFC 8684
    {30, 12, 0x00, 0x81, 1, 2, 3, 4, 5, 6, 7, 8},  // MP_CAPABLE, RFC 6824
    {30, 12, 0x10, 0x01, 1, 2, 3, 4, 5, 6, 7, 8},  // MP_JOIN
    {69, 2},                                       // TCP-ENO
    {69, 3, 0x21},                                 // TCP-ENO, tcpcrypt
    {253, 4, 0x45, 0x4e},
    {254, 5, 0x45, 0x4e, 0x21},        // TCP-ENO, experiment
    {254, 6, 0xe2, 0xd4, 0xc3, 0xd9},  // SMC
};
const Bytes kUsualOptions{2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7};

TEST_P(EveryWayTest, OptionsForAnotherStreamBecomeNops) {
  std::uint64_t replaced = 0;
  for (const Bytes& option : kOtherStreams) {
    const Bytes nops(option.size(), 1);
    // At even and odd offsets; alone, twice, and at the end of the options.
    for (std::size_t before = 0; before < 4; before++) {
      const auto with = [&](const Bytes& what) { return Bytes(before, 1) + what; };
      for (const auto& [sent, expected] :
           {std::pair{with(option), with(nops)},
            std::pair{with(option + option), with(nops + nops)},
            std::pair{with(kUsualOptions + option), with(kUsualOptions + nops)},
            std::pair{with(option + kUsualOptions), with(nops + kUsualOptions)},
            std::pair{Bytes(40 - option.size(), 1) + option, Bytes(40, 1)}}) {
        const Segment syn = Client(client(), service(), 1000 + before).syn();
        const Outcome out = send_tagged(Segment(syn).options(sent));
        ASSERT_TRUE(out.forwarded());
        EXPECT_EQ(behind_macs(out.packet.inner().bytes()),
                  behind_macs(Segment(syn).options(expected).tagged(GetParam().tags).frame()));
        EXPECT_TRUE(out.packet.checksums_are_valid());
        EXPECT_EQ(counter(COUNT_SYN_OPTION), ++replaced);
      }
    }
  }
}

TEST_P(EveryWayTest, AMultipathSynWithDataLosesBoth) {
  const Segment syn = Client(client(), service()).syn();

  const Outcome out =
      send_tagged(Segment(syn).options(kUsualOptions + Bytes{30, 4, 1, 0x81}).payload({0x10, 0}));

  ASSERT_TRUE(out.forwarded());
  EXPECT_EQ(
      behind_macs(out.packet.inner().bytes()),
      behind_macs(
          Segment(syn).options(kUsualOptions + Bytes{1, 1, 1, 1}).tagged(GetParam().tags).frame()));
  EXPECT_TRUE(out.packet.checksums_are_valid());
}

TEST_P(EveryWayTest, OtherOptionsOfASynStayAsTheyAre) {
  const Bytes others[] = {
      {},
      kUsualOptions,
      {19, 18, 30, 4, 1, 0x81, 69, 2, 30, 4, 1, 0x81, 69, 2, 30, 4, 1, 0x81},  // inside another
      {0, 30, 4, 1},         // after the end of the list
      {254, 4, 0xf9, 0x89},  // another experiment
      {254, 3, 0x45, 0x4e},  // too short for one
      {2, 0, 30, 4},
      {2, 1, 30, 4},
      {1, 1, 1, 30},
      {30, 1, 1, 1},
      {30, 5, 1, 1},  // malformed
      {34, 10, 1, 2, 3, 4, 5, 6, 7, 8},
      Bytes(40, 1),
  };
  for (const Bytes& options : others) {
    const Segment syn = Client(client(), service()).syn().options(options).tagged(GetParam().tags);
    const Outcome out = send(syn);
    ASSERT_TRUE(out.forwarded());
    EXPECT_EQ(behind_macs(out.packet.inner().bytes()), behind_macs(syn.frame()));
  }
  EXPECT_EQ(counter(COUNT_SYN_OPTION), 0u);
}

// A wrong checksum stays wrong, and an inconsistent header does no harm.
TEST_P(EveryWayTest, ABadSynForMultipathStaysBad) {
  Bytes damaged =
      Client(client(), service()).syn().options({30, 4, 1, 0x81}).tagged(GetParam().tags).frame();
  damaged.back() ^= 0x5a;
  const Outcome out = send_frame(damaged);
  ASSERT_TRUE(out.forwarded());
  EXPECT_FALSE(out.packet.checksums_are_valid());

  for (std::uint8_t words = 0; words < 16; words++)
    send_tagged(Client(client(), service())
                    .syn()
                    .options({30, 4, 1, 0x81})
                    .claiming_data_offset(words)
                    .payload(Bytes(words * 3, 30)));
}

INSTANTIATE_TEST_SUITE_P(
    Packets, EveryWayTest,
    testing::Values(Way{"ipv4", kClient, {}}, Way{"ipv6", kClient6, {}},
                    Way{"ipv4_tagged", kClient, {{100}}}, Way{"ipv6_tagged", kClient6, {{100}}},
                    Way{"ipv4_tagged_twice", kClient, {{20, ETH_P_8021AD}, {100}}},
                    Way{"ipv6_tagged_twice", kClient6, {{20, ETH_P_8021AD}, {100}}}),
    [](const auto& way) { return std::string(way.param.name); });

class Ipv6Test : public SteerTest {};

TEST_F(Ipv6Test, EveryWordOfTheClientsAddressCounts) {
  ipv6_reals();
  predict(kClient6, kTemperature);
  ASSERT_EQ(send(Client(kClient6, kService6).syn()).group(), kTemperature);

  for (std::size_t byte = 0; byte < 16; byte++) {
    IpAddress::Raw raw = kClient6.address.raw();
    raw[byte] ^= 1;
    EXPECT_EQ(send(Client({IpAddress(raw), 40'000}, kService6).syn()).group(), kDefault) << byte;
  }
}

// All of them use the same slot of `recents`.
TEST_F(Ipv6Test, EveryWordOfTheServicesAddressCounts) {
  ipv6_reals();
  ASSERT_TRUE(send(Client(kClient6, kService6).syn()).forwarded());

  for (std::size_t byte = 0; byte < 16; byte++) {
    IpAddress::Raw raw = kService6.address.raw();
    raw[byte] ^= 1;
    EXPECT_EQ(send(Client(kClient6, {IpAddress(raw), 1883}).syn()).verdict, XDP_PASS) << byte;
    EXPECT_TRUE(send(Client(kClient6, kService6).syn()).forwarded());
  }
}

// The maps write 10.1.50.200 as ::ffff:10.1.50.200.
TEST_F(Ipv6Test, AMappedAddressOnTheWireIsNoIpv4Address) {
  const IpAddress::Raw service = kService.address.raw(), client = kClient.address.raw();
  Bytes to_service = Client(kClient6, kService6).syn().frame(), from_client = to_service;
  std::copy(service.begin(), service.end(), to_service.begin() + 38);
  std::copy(client.begin(), client.end(), from_client.begin() + 22);
  for (const Bytes& frame : {to_service, from_client}) {
    const Outcome out = send_frame(frame);
    EXPECT_EQ(out.verdict, XDP_PASS);
    EXPECT_EQ(out.packet.bytes(), frame);
  }
  EXPECT_EQ(counter(COUNT_OTHER_TRAFFIC), 2u);
}

}  // namespace
}  // namespace remora
