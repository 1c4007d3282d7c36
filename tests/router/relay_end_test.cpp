// SPDX-License-Identifier: Apache-2.0
//
// The engine of routed connections: brokers that die, deliveries, ends and timers.
#include <algorithm>

#include "tests/router/relay_fixture.h"

namespace remora {
namespace {

using router::Time;

// ---- brokers that die

TEST_F(RelayTest, WhatADeadBrokerHasNotAcknowledgedIsSentToAnother) {
  connect();
  publish("g1/t", "1");
  world.run();
  FakeBroker& first = world.last_of(1).broker;
  first.answers_messages = false;
  const auto session = world.last_of(1).asked.session;
  publish("g1/t", "2", 1, 5);
  publish("g1/t", "3", 2, 6);
  publish("g1/t", "4");
  world.run();
  EXPECT_EQ(messages_at(first), (std::vector<std::string>{"1", "2", "3", "4"}));

  world.die(session);
  world.run();

  // A message of QoS 0 that was written to one broker must not be sent to another.
  EXPECT_EQ(messages_at(world.last_of(1).broker), (std::vector<std::string>{"2", "3"}));
  EXPECT_EQ(world.received_types(), (std::vector<int>{kConnack, kPuback, kPubrec}));
  EXPECT_FALSE(world.is_closed());
}

TEST_F(RelayTest, ACloseInsteadOfAConnackIsTriedOnce) {
  world.set_up = [](router::GroupId, FakeBroker& broker) { broker.answers_connect = false; };
  world.send(connect_packet(MqttVersion::k311));
  world.run();
  const auto first = world.last_of(0).asked.session;
  world.die(first);
  world.run();
  EXPECT_FALSE(world.is_closed());  // the broker may have died
  const auto second = world.last_of(0).asked.session;
  ASSERT_NE(second, first);

  world.die(second);
  world.wait(router::Options{}.give_up);

  EXPECT_TRUE(world.is_closed());
  EXPECT_EQ(world.links.size(), 2);
}

TEST_F(RelayTest, ABrokerThatCannotBeReachedIsNoAnswerToTheConnect) {
  int refused = 0;
  world.refuses = [&](const router::OpenSession&) { return ++refused <= 5; };
  world.send(connect_packet(MqttVersion::k311));
  for (int second = 0; second < 5; ++second) world.wait(router::Options{}.retry);
  world.run();

  EXPECT_EQ(world.received_types(), std::vector{kConnack});
  EXPECT_FALSE(world.is_closed());
}

TEST_F(RelayTest, ASessionLeavesItsRealWhenNothingIsUnderWay) {
  connect();
  publish("g1/t", "1");
  world.run();
  publish("g2/t", "2");
  world.run();
  FakeBroker& home = world.last_of(1).broker;
  FakeBroker& further = world.last_of(2).broker;
  home.answers_messages = false;
  publish("g1/t", "3", 1, 5);
  world.run();

  world.leave(world.last_of(1).asked.session);
  world.leave(world.last_of(2).asked.session);
  world.run();
  EXPECT_FALSE(home.has_closed);  // an acknowledgement of the broker is missing
  EXPECT_TRUE(further.has_closed);
  world.say(world.last_of(1).asked.session, broker_ack(kPuback, 5));
  world.run();

  EXPECT_TRUE(home.has_closed);
  publish("g1/t", "4");
  publish("g2/t", "5");
  world.run();
  EXPECT_EQ(messages_at(home), (std::vector<std::string>{"1", "3"}));
  EXPECT_EQ(messages_at(world.last_of(1).broker), std::vector<std::string>{"4"});
  EXPECT_EQ(messages_at(world.last_of(2).broker), std::vector<std::string>{"5"});
  EXPECT_EQ(world.received_types(), (std::vector<int>{kConnack, kPuback}));
  EXPECT_FALSE(world.is_closed());
}

TEST_F(RelayTest, AHomeWithSubscriptionsDoesNotLeave) {
  connect();
  publish("g1/t", "1");
  world.send(subscribe_packet(9, "a/#"));
  world.run();
  const auto session = world.last_of(1).asked.session;

  world.leave(session);
  world.run();

  EXPECT_EQ(world.last_of(1).asked.session, session);
  EXPECT_FALSE(world.broker(session).has_closed);
}

// Its real is evacuated: the client must come back.
TEST_F(RelayTest, AHomeThatCannotMoveEndsWhenNothingIsUnderWay) {
  world.routing.farewell = mqtt::Reason::kUseAnotherServer;
  world.send(connect_with(MqttVersion::k5, 0x00, "persistent"));
  world.run();
  FakeBroker& home = world.last_of(0).broker;
  home.answers_messages = false;
  world.send(publish_packet("t", "m", {.qos = 1, .packet_id = 5, .properties = Bytes{}}));
  world.run();
  const auto session = world.last_of(0).asked.session;

  EXPECT_FALSE(world.evict(session));  // nobody has told it to leave
  world.leave(session);
  EXPECT_FALSE(world.evict(session));  // it owes an answer
  world.say(session, broker_ack(kPuback, 5));
  world.run();
  EXPECT_TRUE(world.evict(session));
  world.run();

  EXPECT_TRUE(world.is_closed());
  const auto received = world.received();
  EXPECT_EQ(received.back().bytes,
            mqtt::disconnect_packet(mqtt::Version::k5, mqtt::Reason::kUseAnotherServer));
  EXPECT_EQ(home.packets.back().type, kDisconnect);  // so that it publishes no Will
}

TEST_F(RelayTest, AHomeThatIsNeverQuietEndsAfterAWhile) {
  connect();
  world.send(subscribe_packet(9, "a/#"));
  world.run();
  const auto session = world.last_of(0).asked.session;
  world.broker(session).answers_messages = false;
  publish("t", "m", 1, 5);
  world.run();
  world.leave(session);
  EXPECT_FALSE(world.evict(session));

  world.wait(router::Options{}.linger);

  EXPECT_TRUE(world.evict(session));
}

TEST_F(RelayTest, AfterAReloadTheSameTopicIsJudgedAnew) {
  connect();
  publish("t", "1");
  world.run();
  world.routing.group_of = [](std::string_view) { return router::GroupId{2}; };

  world.relay().routes_changed();
  publish("t", "2");
  world.run();

  EXPECT_EQ(messages_at(world.last_of(0).broker), std::vector<std::string>{"1"});
  EXPECT_EQ(messages_at(world.last_of(2).broker), std::vector<std::string>{"2"});
}

TEST_F(RelayTest, WhatWasNotWrittenGoesToAnotherBroker) {
  connect();
  publish("g1/t", "1");
  world.run();
  const auto session = world.last_of(1).asked.session;
  world.writes_at_once = false;
  world.send(publish_packet("g1/t", "2") + publish_packet("g1/t", "3") +
             publish_packet("g1/t", "4"));
  const std::size_t one = publish_packet("g1/t", "2").size();
  world.write(session, one + 3);  // cuts the second one

  world.die(session);
  world.run();

  EXPECT_EQ(messages_at(world.last_of(1).broker), (std::vector<std::string>{"3", "4"}));
}

TEST_F(RelayTest, AMessageThatIsStillComingGoesToAnotherBrokerWhole) {
  connect();
  const Bytes packet = publish_packet("g1/t", std::string(500, 'x'), {.qos = 1, .packet_id = 3});
  world.send({packet.begin(), packet.begin() + 100});
  world.run();
  world.die(world.last_of(1).asked.session);
  world.run();
  world.send({packet.begin() + 100, packet.end()});
  world.run();

  EXPECT_EQ(messages_at(world.last_of(1).broker), std::vector<std::string>{std::string(500, 'x')});
  EXPECT_EQ(world.received_types(), (std::vector<int>{kConnack, kPuback}));
}

TEST_F(RelayTest, TheRestOfALostMessageIsSwallowed) {
  connect();
  const Bytes packet = publish_packet("g1/t", std::string(500, 'x'));
  world.send({packet.begin(), packet.begin() + 100});
  world.run();
  world.die(world.last_of(1).asked.session);
  world.send(Bytes{packet.begin() + 100, packet.end()} + publish_packet("g1/t", "next"));
  world.run();

  EXPECT_EQ(messages_at(world.last_of(1).broker), std::vector<std::string>{"next"});
}

TEST_F(RelayTest, APubrelFindsTheBrokerThatTookOver) {
  connect(MqttVersion::k5);
  const Bytes none;
  world.send(publish_packet("g1/t", "m", {.qos = 2, .packet_id = 4, .properties = none}));
  world.run();
  const auto session = world.last_of(1).asked.session;
  world.die(session);
  world.send(pubrel_packet(4));
  world.link(session + 1).broker.answers.clear();
  world.say(session + 1, connack_packet(MqttVersion::k5));
  world.say(session + 1, Bytes{0x70, 3, 0, 4, 0x92});  // the broker does not know the message

  EXPECT_EQ(world.received().back().bytes, broker_ack(kPubcomp, 4));
}

TEST_F(RelayTest, AHomeWithSubscriptionsCannotBeReplaced) {
  connect();
  world.send(subscribe_packet(1, "x"));
  world.run();
  world.die(1);
  EXPECT_TRUE(world.is_closed());
}

TEST_F(RelayTest, ADeadHomeOfAPublisherIsNotNoticed) {
  connect();
  publish("g1/t");
  world.run();
  world.die(2);
  publish("g1/t", "after");
  world.send(pingreq_packet());
  world.run();

  EXPECT_EQ(world.broker(3).packets[0].bytes, connect_packet());
  EXPECT_EQ(messages_at(world.broker(3)), std::vector<std::string>{"after"});
  EXPECT_EQ(world.received_types(), (std::vector{kConnack, kPingresp}));
}

// ---- deliveries

TEST_F(RelayTest, AnAckWaitsForTheEndOfADelivery) {
  connect();
  world.send(subscribe_packet(1, "x"));
  world.run();
  const Bytes delivery = publish_packet("x", std::string(100, 'x'));
  world.say(1, {delivery.begin(), delivery.begin() + 50});
  publish("g1/t", "m", 1, 9);
  world.run();
  world.say(1, {delivery.begin() + 50, delivery.end()});

  EXPECT_EQ(world.received_types(), (std::vector<int>{kConnack, kSuback, kPublish, kPuback}));
  EXPECT_EQ(world.received()[2].bytes, delivery);
}

TEST_F(RelayTest, DeliveriesOfEachQosAreAnsweredAtHome) {
  connect();
  world.send(subscribe_packet(1, "x"));
  publish("g1/t");
  world.run();
  world.say(1, publish_packet("x", "m", {.qos = 2, .packet_id = 1}));
  world.send(control_packet(kPubrec, 0, two_bytes(1)));
  world.say(1, broker_ack(kPubrel, 1));
  world.send(control_packet(kPubcomp, 0, two_bytes(1)));
  world.run();

  EXPECT_EQ(world.broker(1).count(kPubrec), 1U);
  EXPECT_EQ(world.broker(1).count(kPubcomp), 1U);
  EXPECT_EQ(world.received_types(), (std::vector<int>{kConnack, kSuback, kPublish, kPubrel}));
}

// ---- the end

TEST_F(RelayTest, ADisconnectReachesEveryBrokerAfterItsMessages) {
  world.send(connect_packet() + publish_packet("g1/t", "1") + publish_packet("g2/t", "2") +
             disconnect_packet());
  world.run();
  EXPECT_TRUE(world.is_closed());
  EXPECT_TRUE(world.relay().is_over());
  for (const router::GroupId group : {1U, 2U}) {
    EXPECT_EQ(world.last_of(group).broker.messages.size(), 1U);
    EXPECT_EQ(world.last_of(group).broker.packets.back().type, kDisconnect);
  }
  EXPECT_EQ(world.received_types(), std::vector{kConnack});
}

TEST_F(RelayTest, WithoutDisconnectTheHomePublishesTheWill) {
  connect();
  publish("g1/t");
  publish("g2/t");
  world.run();
  publish("g2/t");
  world.hang_up();
  world.run();

  EXPECT_EQ(world.last_of(1).broker.count(kDisconnect), 0U);
  EXPECT_TRUE(world.last_of(1).is_closed);
  EXPECT_EQ(world.last_of(2).broker.messages.size(), 2U);
  EXPECT_EQ(world.last_of(2).broker.count(kDisconnect), 1U);
  EXPECT_TRUE(world.relay().is_over());
}

TEST_F(RelayTest, MessagesOfAClientThatIsGoneAreStillDelivered) {
  world.set_up = [](router::GroupId group, FakeBroker& broker) {
    broker.answers_connect = group != 2;
  };
  connect();
  publish("g1/t");
  publish("g2/t", "late");
  world.send(disconnect_packet());
  world.hang_up();
  world.run();
  EXPECT_FALSE(world.relay().is_over());

  world.say(world.last_of(2).asked.session, connack_packet(MqttVersion::k311));

  EXPECT_EQ(messages_at(world.last_of(2).broker), std::vector<std::string>{"late"});
  EXPECT_TRUE(world.relay().is_over());
}

// ---- timers

TEST_F(RelayTest, TheRouterKeepsIdleSessionsAlive) {
  connect();
  publish("g1/t");
  publish("g2/t");
  world.run();
  for (int i = 0; i < 10; ++i) {
    world.wait(Time(20'000));
    publish("g1/t");
    world.run();
  }
  EXPECT_GE(world.last_of(2).broker.count(kPingreq), 5U);
  EXPECT_EQ(world.last_of(1).broker.count(kPingreq), 0U);
  EXPECT_EQ(world.received_types(), std::vector{kConnack});  // the answers are the router's
}

TEST_F(RelayTest, EachBrokersOwnKeepAliveIsKept) {
  world.set_up = [](router::GroupId group, FakeBroker& broker) {
    if (group == 2) broker.connack_properties = {0x13, 0, 10};
  };
  connect(MqttVersion::k5);
  world.send(publish_packet("g1/t", "m", {.properties = Bytes{}}) +
             publish_packet("g2/t", "m", {.properties = Bytes{}}));
  world.run();
  for (int i = 0; i < 5; ++i) {
    world.wait(Time(5'000));
    world.run();
  }
  EXPECT_GE(world.last_of(2).broker.count(kPingreq), 4U);
  EXPECT_EQ(world.last_of(1).broker.count(kPingreq), 0U);
}

TEST_F(RelayTest, AClientThatIsSilentForTooLongIsLetGo) {
  connect();
  world.wait(Time(60'000));
  world.run();
  EXPECT_FALSE(world.is_closed());
  world.wait(Time(31'000));
  EXPECT_TRUE(world.is_closed());
  EXPECT_EQ(world.broker(1).count(kDisconnect), 0U);
}

TEST_F(RelayTest, AConnectThatDoesNotCompleteIsNotWaitedFor) {
  world.send({0x10});
  world.wait(Time(11'000));
  EXPECT_TRUE(world.is_closed());
  EXPECT_TRUE(world.relay().is_over());
}

TEST(RelayMemoryTest, AClientOfASlowBrokerIsNotRead) {
  World world({.memory = 10'000});
  world.send(connect_packet() + publish_packet("g1/t"));
  world.run();
  world.writes_at_once = false;
  while (world.relay().client_room() > 0) {
    world.send(publish_packet("g1/t", std::string(500, 'x')));
  }
  EXPECT_LT(world.relay().memory(), 15'000U);
  world.run();
  EXPECT_GT(world.relay().client_room(), 0U);
}

TEST(RelayMemoryTest, AClientThatWaitsTooLongForABrokerIsLetGo) {
  World world({.memory = 1'000});
  world.send(connect_packet(MqttVersion::k5) +
             publish_packet("g1/t", "m", {.properties = Bytes{}}));
  world.run();
  world.writes_at_once = false;
  world.send(publish_packet("g1/t", std::string(2'000, 'x'), {.properties = Bytes{}}));
  EXPECT_EQ(world.relay().client_room(), 0U);
  world.writes_at_once = false;
  world.wait(Time(59'000));
  EXPECT_TRUE(world.relay().for_client().empty());
  world.wait(Time(2'000));
  world.write_to_client(100);
  EXPECT_EQ(world.received().back().bytes, (Bytes{0xe0, 1, 0x97}));
}

// ---- other protocols

TEST_F(RelayTest, OtherProtocolsAreRelayedToTheDefaultGroup) {
  world.send(bytes_of("GET /"));
  world.send(bytes_of(" HTTP/1.1\r\n"));
  world.say(1, bytes_of("HTTP/1.1 200"));
  EXPECT_EQ(world.link(1).asked.group, 0U);
  EXPECT_EQ(world.to_client, bytes_of("HTTP/1.1 200"));
  EXPECT_NE(std::ranges::find(world.actions, router::Action(router::NotMqtt{})),
            world.actions.end());
  world.die(1);
  EXPECT_TRUE(world.is_closed());
}

TEST_F(RelayTest, LessonsAreDrawnFromChangesOfTopic) {
  connect();
  for (const char* topic : {"g1/t", "g1/t", "g2/t", "g1/t"}) publish(topic);
  std::vector<std::string> learned;
  for (const router::Action& action : world.actions) {
    if (const auto* learn = std::get_if<router::Learn>(&action)) learned.push_back(learn->topic);
  }
  EXPECT_EQ(learned, (std::vector<std::string>{"g1/t", "g2/t", "g1/t"}));
}

}  // namespace
}  // namespace remora
