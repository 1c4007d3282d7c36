// SPDX-License-Identifier: Apache-2.0
//
// The engine of routed connections with subscribe = "all": a subscriber sees every group.
#include <algorithm>
#include <set>

#include "tests/router/relay_fixture.h"

namespace remora {
namespace {

Bytes subscribe_to_x(MqttVersion version) {
  const Bytes properties = version == MqttVersion::k5 ? Bytes{0} : Bytes{};
  return control_packet(kSubscribe, 2, two_bytes(9) + properties + utf8_string("x") + Bytes{1});
}

class RelaySubscribeTest : public testing::Test {
 protected:
  RelaySubscribeTest() : world({.subscribe = router::Subscribe::kAll}) {}

  // Opens the sessions 1, 2 and 3, at the groups 0, 1 and 2.
  void subscribe() {
    world.send(connect_packet());
    world.run();
    world.send(subscribe_to_x(MqttVersion::k311));
    world.run();
  }
  std::vector<PlainPublish> delivered() const {
    std::vector<PlainPublish> messages;
    for (const PlainPacket& packet : world.received()) {
      if (packet.type == kPublish) messages.push_back(read_publish(packet, MqttVersion::k311));
    }
    return messages;
  }

  World world;
};

TEST(RelaySubackTest, EveryGroupIsAskedAndTheWorstAnswerGiven) {
  for (const auto version : {MqttVersion::k311, MqttVersion::k5}) {
    for (const int code : {0, 0x80}) {
      World world({.subscribe = router::Subscribe::kAll});
      world.set_up = [&](router::GroupId group, FakeBroker& broker) {
        broker.granted = group == 2 ? code : 1;
      };
      world.send(connect_packet(version));
      world.send(subscribe_to_x(version));
      world.run();

      EXPECT_EQ(world.links.size(), 3U);
      for (const auto& [id, link] : world.links) EXPECT_EQ(link.broker.count(kSubscribe), 1U);
      ASSERT_EQ(world.received_types(), (std::vector{kConnack, kSuback}));
      const Bytes properties = version == MqttVersion::k5 ? Bytes{0} : Bytes{};
      EXPECT_EQ(world.received()[1].body,
                two_bytes(9) + properties + Bytes{static_cast<std::uint8_t>(code)});
    }
  }
}

TEST_F(RelaySubscribeTest, IdentifiersOfSeveralBrokersDoNotClash) {
  subscribe();
  for (const router::SessionId session : {1U, 2U, 3U}) {
    world.say(session, publish_packet("x", std::to_string(session), {.qos = 1, .packet_id = 5}));
  }
  std::set<int> ids;
  for (const PlainPublish& message : delivered()) ids.insert(message.id);
  ASSERT_EQ(ids.size(), 3U);

  for (const int id : ids) world.send(puback_packet(static_cast<std::uint16_t>(id)));
  for (const router::SessionId session : {1U, 2U, 3U}) {
    EXPECT_EQ(world.broker(session).packets.back().bytes, puback_packet(5));
  }
}

TEST_F(RelaySubscribeTest, AnExchangeOfQosTwoStaysWithItsBroker) {
  subscribe();
  world.say(1, publish_packet("x", "1", {.qos = 1, .packet_id = 5}));
  world.say(2, publish_packet("x", "2", {.qos = 2, .packet_id = 5}));
  const auto id = static_cast<std::uint16_t>(delivered()[1].id);
  EXPECT_NE(id, 5);

  world.send(control_packet(kPubrec, 0, two_bytes(id)));
  EXPECT_EQ(world.broker(2).packets.back().bytes, control_packet(kPubrec, 0, two_bytes(5)));
  world.say(2, broker_ack(kPubrel, 5));
  EXPECT_EQ(world.received().back().bytes, broker_ack(kPubrel, id));
  world.send(control_packet(kPubcomp, 0, two_bytes(id)));
  EXPECT_EQ(world.broker(2).packets.back().bytes, control_packet(kPubcomp, 0, two_bytes(5)));
}

TEST_F(RelaySubscribeTest, MessagesOfSeveralBrokersAreNotMixed) {
  subscribe();
  const Bytes first = publish_packet("x", std::string(100, 'a'));
  const Bytes second = publish_packet("x", std::string(100, 'b'), {.qos = 1, .packet_id = 1});
  world.say(1, {first.begin(), first.begin() + 40});
  world.say(2, {second.begin(), second.begin() + 40});
  world.say(3, publish_packet("x", "c"));
  world.say(1, {first.begin() + 40, first.end()});
  world.send(pingreq_packet());
  world.run();
  world.say(2, {second.begin() + 40, second.end()});

  std::vector<std::string> texts;
  for (const PlainPublish& message : delivered()) texts.push_back(message.message);
  EXPECT_EQ(texts, (std::vector<std::string>{std::string(100, 'a'), std::string(100, 'b'), "c"}));
  const std::vector<int> types = world.received_types();
  EXPECT_EQ(std::ranges::count(types, kPingresp), 1);
}

TEST_F(RelaySubscribeTest, ABrokerThatTakesOverIsToldTheSubscriptions) {
  subscribe();
  world.say(2, publish_packet("x", "m", {.qos = 2, .packet_id = 5}));
  world.die(2);
  world.run();

  EXPECT_EQ(world.last_of(1).broker.count(kSubscribe), 1U);
  EXPECT_FALSE(world.is_closed());
  EXPECT_EQ(std::ranges::count(world.received_types(), kSuback), 1);
  // The client completes the exchange that the dead broker began.
  world.send(control_packet(kPubrec, 0, two_bytes(5)));
  EXPECT_EQ(world.received().back().bytes, broker_ack(kPubrel, 5));
  world.send(control_packet(kPubcomp, 0, two_bytes(5)));
  EXPECT_EQ(world.last_of(1).broker.count(kPubcomp), 0U);
}

TEST_F(RelaySubscribeTest, ABrokerThatDiesBeforeItAnswersDoesNotHoldUpTheAnswer) {
  world.set_up = [](router::GroupId group, FakeBroker& broker) {
    broker.answers_connect = group != 1;
  };
  subscribe();
  EXPECT_EQ(world.received_types(), std::vector{kConnack});
  world.set_up = nullptr;
  world.die(2);
  world.run();
  EXPECT_EQ(world.received_types(), (std::vector{kConnack, kSuback}));
}

TEST_F(RelaySubscribeTest, MessagesStillGoToTheirGroups) {
  subscribe();
  world.send(publish_packet("g2/t", "m", {.qos = 1, .packet_id = 9}));
  world.run();
  EXPECT_EQ(messages_at(world.broker(3)), std::vector<std::string>{"m"});
  EXPECT_EQ(world.links.size(), 3U);
  EXPECT_EQ(world.received_types(), (std::vector<int>{kConnack, kSuback, kPuback}));
}

}  // namespace
}  // namespace remora
