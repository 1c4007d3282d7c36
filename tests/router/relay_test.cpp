// SPDX-License-Identifier: Apache-2.0
//
// The engine of routed connections: homes, messages, MQTT 5 and refusals.
#include <algorithm>

#include "tests/router/relay_fixture.h"

namespace remora {
namespace {

using mqtt::Reason;
using router::Time;

// ---- home

TEST_F(RelayTest, AClientThatDoesNotWaitHasItsHomeAtItsFirstTopic) {
  world.send(connect_packet() + publish_packet("g3/t"));
  world.run();

  ASSERT_EQ(world.links.size(), 1U);
  EXPECT_EQ(world.link(1).asked.group, 3U);
  EXPECT_EQ(world.broker(1).packets[0].bytes, connect_packet());
  EXPECT_EQ(topics_at(world.broker(1)), std::vector<std::string>{"g3/t"});
  EXPECT_EQ(world.received_types(), std::vector{kConnack});
}

TEST_F(RelayTest, AClientThatWaitsMovesHomeWithItsFirstMessage) {
  const Bytes packet = connect_with(MqttVersion::k311, 0x06, "c");
  world.send(packet);
  world.run();
  EXPECT_EQ(world.link(1).asked.group, 0U);

  publish("g3/t");
  world.run();

  // The Will moves along: a DISCONNECT to the former home discards it there.
  EXPECT_EQ(world.link(2).asked.group, 3U);
  EXPECT_EQ(world.broker(2).packets[0].bytes, packet);
  EXPECT_EQ(world.broker(1).count(kDisconnect), 1U);
  EXPECT_TRUE(world.broker(1).messages.empty());
  EXPECT_EQ(world.received_types(), std::vector{kConnack});
  world.send(subscribe_packet(9, "x"));
  world.run();
  EXPECT_EQ(world.broker(2).count(kSubscribe), 1U);
}

TEST_F(RelayTest, AClientThatSubscribesFirstStaysAtTheDefaultGroup) {
  connect();
  world.send(subscribe_packet(9, "x"));
  publish("g3/t");
  world.run();

  EXPECT_EQ(world.broker(1).count(kSubscribe), 1U);
  EXPECT_EQ(world.broker(1).count(kDisconnect), 0U);
  EXPECT_EQ(topics_at(world.last_of(3).broker), std::vector<std::string>{"g3/t"});
  EXPECT_EQ(world.received_types(), (std::vector{kConnack, kSuback}));
}

TEST_F(RelayTest, APersistentSessionIsFoundAgain) {
  world.send(connect_with(MqttVersion::k311, 0x00, "lives-in-g7") + publish_packet("g3/t"));
  world.run();

  EXPECT_EQ(world.link(1).asked.group, 7U);
  EXPECT_NE(
      std::ranges::find(world.actions, router::Action(router::RememberHome{"lives-in-g7", 7})),
      world.actions.end());
  EXPECT_TRUE(read_connect(world.last_of(3).broker.packets[0]).is_clean());
  EXPECT_EQ(world.last_of(3).asked.key, world.link(1).asked.key);
}

TEST_F(RelayTest, APersistentSessionThatIsNewHasItsHomeAtItsFirstTopic) {
  world.send(connect_with(MqttVersion::k311, 0x00, "new") + publish_packet("g3/t"));
  world.run();

  EXPECT_EQ(world.link(1).asked.group, 3U);
  EXPECT_EQ(std::ranges::count(world.actions, router::Action(router::RememberHome{"new", 3})), 1);
}

TEST_F(RelayTest, AFurtherSessionIsCleanAndWithoutWill) {
  world.send(connect_with(MqttVersion::k311, 0x04, "c") + publish_packet("t") +
             publish_packet("g1/t"));
  world.run();

  const PlainConnect further = read_connect(world.last_of(1).broker.packets[0]);
  EXPECT_TRUE(further.is_clean());
  EXPECT_FALSE(further.has_will());
  EXPECT_EQ(further.client_id, "c");
}

TEST(RelaySuffixTest, FurtherIdentifiersCanBeSuffixed) {
  World world({.further_sessions = router::FurtherSessions::kSuffixedId});
  world.send(connect_packet(MqttVersion::k311, "dev") + publish_packet("g1/t") +
             publish_packet("g2/t"));
  world.run();

  EXPECT_EQ(read_connect(world.broker(1).packets[0]).client_id, "dev");
  EXPECT_EQ(read_connect(world.broker(2).packets[0]).client_id, "dev-g2");
}

// ---- messages

TEST_F(RelayTest, EveryMessageGoesToItsGroupInOrder) {
  connect();
  world.send(publish_packet("g1/a", "1") + publish_packet("g2/b", "2") +
             publish_packet("g1/c", "3") + publish_packet("other", "4"));
  world.run();

  EXPECT_EQ(topics_at(world.last_of(1).broker), (std::vector<std::string>{"g1/a", "g1/c"}));
  EXPECT_EQ(topics_at(world.last_of(2).broker), std::vector<std::string>{"g2/b"});
  EXPECT_EQ(topics_at(world.last_of(0).broker), std::vector<std::string>{"other"});
}

TEST_F(RelayTest, AcknowledgementsComeInTheOrderOfTheMessages) {
  connect();
  world.set_up = [](router::GroupId group, FakeBroker& broker) {
    broker.answers_messages = group != 1;
  };
  publish("g1/slow", "1", 1, 11);
  publish("g2/fast", "2", 2, 12);
  world.run();
  EXPECT_EQ(world.received_types(), std::vector{kConnack});  // PUBREC waits

  world.say(2, broker_ack(kPuback, 11));

  EXPECT_EQ(world.received_types(), (std::vector<int>{kConnack, kPuback, kPubrec}));
  world.send(pubrel_packet(12));
  world.run();
  EXPECT_EQ(world.received().back().bytes, broker_ack(kPubcomp, 12));
  EXPECT_EQ(world.last_of(1).broker.count(kPubrel), 0U);
}

TEST_F(RelayTest, AnswersDoNotOvertakeTheConnack) {
  world.send(connect_packet());
  world.set_up = [](router::GroupId group, FakeBroker& broker) {
    broker.answers_connect = group != 1;
  };
  publish("g1/t", "1", 0);
  publish("g2/t", "2", 1, 12);
  world.send(pingreq_packet());
  world.run();
  EXPECT_TRUE(world.received().empty());  // the home has moved to group 1

  world.say(world.last_of(1).asked.session, connack_packet(MqttVersion::k311));
  world.run();

  EXPECT_EQ(world.received_types(), (std::vector<int>{kConnack, kPuback, kPingresp}));
}

TEST_F(RelayTest, APubrelOfAnEarlierConnectionIsAskedOfAll) {
  connect();
  publish("g1/t");
  publish("g2/t");
  world.run();
  world.send(pubrel_packet(500));
  world.run();

  EXPECT_EQ(world.last_of(1).broker.count(kPubrel), 1U);
  EXPECT_EQ(world.last_of(2).broker.count(kPubrel), 1U);
  EXPECT_EQ(world.received_types(), (std::vector<int>{kConnack, kPubcomp}));
}

// Its bytes belong to the reader, which overwrites them with the next packet.
TEST_F(RelayTest, AHeadThatAReadHasCutIsCopied) {
  connect();
  world.send(publish_packet("g1/t", "1"));
  const Bytes cut = publish_packet("g1/t", std::string(100, 'x'));
  const Bytes next = publish_packet("g2/t", "next");
  world.send({cut.begin(), cut.begin() + 3});
  world.send(Bytes{cut.begin() + 3, cut.end()} + Bytes{next.begin(), next.begin() + 3});
  world.send({next.begin() + 3, next.end()});
  world.run();

  EXPECT_EQ(messages_at(world.last_of(1).broker),
            (std::vector<std::string>{"1", std::string(100, 'x')}));
  EXPECT_EQ(messages_at(world.last_of(2).broker), std::vector<std::string>{"next"});
}

TEST_F(RelayTest, OneLongMessagePassesWithoutBeingKept) {
  connect();
  const std::string payload(3'000'000, 'x');
  const Bytes packet = publish_packet("g1/t", payload);
  for (std::size_t at = 0; at < packet.size();) {
    world.run();
    const std::size_t room = std::min<std::size_t>(world.relay().client_room(), packet.size() - at);
    ASSERT_GT(room, 0U);
    const std::size_t size = std::min<std::size_t>(room, 60'000);
    world.send({packet.begin() + static_cast<std::ptrdiff_t>(at),
                packet.begin() + static_cast<std::ptrdiff_t>(at + size)});
    at += size;
    EXPECT_LT(world.relay().memory(), 200'000U);
  }
  world.run();
  EXPECT_EQ(messages_at(world.last_of(1).broker), std::vector<std::string>{payload});
}

// ---- MQTT 5

TEST_F(RelayTest, AliasesAreResolvedAndNotUsed) {
  world.set_up = [](router::GroupId, FakeBroker& broker) {
    broker.connack_properties = {0x22, 0, 4};
  };
  connect(MqttVersion::k5);
  const Bytes alias{0x23, 0, 2};
  world.send(publish_packet("g1/t", "1", {.properties = alias}) +
             publish_packet("", "2", {.properties = alias}) +
             publish_packet("g2/t", "3", {.properties = alias}) +
             publish_packet("", "4", {.properties = alias}));
  world.run();

  EXPECT_EQ(topics_at(world.last_of(1).broker), (std::vector<std::string>{"g1/t", "g1/t"}));
  EXPECT_EQ(messages_at(world.last_of(2).broker), (std::vector<std::string>{"3", "4"}));
  for (const PlainPublish& message : world.last_of(2).broker.messages) {
    EXPECT_TRUE(message.properties.empty());
  }

  world.send(publish_packet("g1/t", "5", {.properties = Bytes{0x23, 0, 5}}));
  world.run();
  EXPECT_EQ(world.received().back().bytes, (Bytes{0xe0, 1, 0x94}));
  EXPECT_TRUE(world.is_closed());
}

TEST_F(RelayTest, ABrokersReceiveMaximumIsKept) {
  world.set_up = [](router::GroupId group, FakeBroker& broker) {
    if (group == 1) broker.connack_properties = {0x21, 0, 2};
    broker.answers_messages = group != 1;
  };
  connect(MqttVersion::k5);
  const Bytes none;
  for (std::uint16_t id = 1; id <= 5; ++id) {
    world.send(publish_packet("g1/t", std::to_string(id),
                              {.qos = 1, .packet_id = id, .properties = none}));
  }
  world.send(publish_packet("g1/t", "6", {.properties = none}));
  world.run();
  EXPECT_EQ(messages_at(world.last_of(1).broker), (std::vector<std::string>{"1", "2"}));

  FakeBroker& broker = world.last_of(1).broker;
  const auto session = world.last_of(1).asked.session;
  for (std::uint16_t id = 1; id <= 5; ++id) {
    --broker.in_flight;
    world.say(session, broker_ack(kPuback, id));
  }
  EXPECT_EQ(messages_at(broker), (std::vector<std::string>{"1", "2", "3", "4", "5", "6"}));
  EXPECT_EQ(broker.most_in_flight, 2U);
  EXPECT_EQ(std::ranges::count(world.received_types(), kPuback), 5);
}

struct Refused {
  const char* what;
  Bytes limits;
  Bytes packet;
  Reason reason;
};

TEST(RelayLimitsTest, WhatABrokerDoesNotTakeEndsWithTheReasonOfTheStandard) {
  const Bytes none;
  const std::vector<Refused> rows{
      {"QoS",
       {0x24, 1},
       publish_packet("g1/t", "m", {.qos = 2, .properties = none}),
       Reason::kQosNotSupported},
      {"retain",
       {0x25, 0},
       control_packet(kPublish, 1, utf8_string("g1/t") + Bytes{0}),
       Reason::kRetainNotSupported},
      {"size",
       {0x27, 0, 0, 0, 30},
       publish_packet("g1/t", std::string(50, 'x'), {.properties = none}),
       Reason::kPacketTooLarge},
  };
  for (const Refused& row : rows) {
    for (const bool knows_before : {false, true}) {
      SCOPED_TRACE(row.what);
      World world;
      world.set_up = [&](router::GroupId group, FakeBroker& broker) {
        if (group == 1) broker.connack_properties = row.limits;
      };
      world.send(connect_packet(MqttVersion::k5));
      world.run();
      if (knows_before) {
        world.send(publish_packet("g1/t", "", {.properties = none}));
        world.run();
      }
      world.send(row.packet);
      world.run();

      EXPECT_EQ(world.received().back().bytes,
                (Bytes{0xe0, 1, static_cast<std::uint8_t>(row.reason)}));
      EXPECT_TRUE(world.is_closed());
      EXPECT_EQ(world.last_of(1).broker.messages.size(), knows_before ? 1U : 0U);
    }
  }
}

TEST_F(RelayTest, MalformedInputEndsWithItsReason) {
  connect(MqttVersion::k5);
  world.send({0x00, 0x00});
  world.run();
  EXPECT_EQ(world.received().back().bytes, (Bytes{0xe0, 1, 0x81}));
  EXPECT_TRUE(world.is_closed());
  EXPECT_TRUE(world.link(1).is_closed);
  EXPECT_EQ(world.broker(1).count(kDisconnect), 0U);  // its Will is published
}

// ---- refusals

TEST_F(RelayTest, AWrongPasswordIsRefusedByTheBroker) {
  world.set_up = [](router::GroupId, FakeBroker& broker) { broker.return_code = 5; };
  world.send(connect_packet());
  world.run();

  EXPECT_EQ(world.to_client, connack_packet(MqttVersion::k311, 5));
  EXPECT_TRUE(world.is_closed());
  EXPECT_TRUE(world.relay().is_over());
}

TEST_F(RelayTest, WithoutBrokersTheClientIsToldSo) {
  world.refuses = [](const router::OpenSession&) { return true; };
  world.send(connect_packet());
  EXPECT_EQ(world.actions.size(), 3U);  // attempts to open a session, all at once
  world.wait(Time(20'000));

  EXPECT_EQ(world.to_client, connack_packet(MqttVersion::k311, 3));
  EXPECT_TRUE(world.is_closed());
  EXPECT_TRUE(world.relay().is_over());
}

TEST_F(RelayTest, AnotherRealIsTriedWithTheNextAttempt) {
  world.refuses = [](const router::OpenSession& asked) { return asked.attempt == 0; };
  connect();
  EXPECT_EQ(world.link(2).asked.attempt, 1U);
  EXPECT_EQ(world.link(2).asked.key, world.link(1).asked.key);
}

}  // namespace
}  // namespace remora
