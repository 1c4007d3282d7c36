// SPDX-License-Identifier: Apache-2.0
//
// The count of PUBLISHes by group, QoS and verdict: each is counted once, as what became known of
// it when it was sent on or withheld.
#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

class MessagesTest : public SteerTest {
 protected:
  Client temperature_client(MqttVersion version = MqttVersion::k311) {
    predict(kClient, kTemperature);
    return connect(kClient, 1000, version);
  }
  void publish_with(Client& client, std::string_view topic, int qos) {
    send(client.send(publish_packet(topic, "21", {.qos = qos})));
  }
};

// Before, a kept connection was counted once, however much it published.
TEST_F(MessagesTest, EachMessageOfAKeptConnectionIsOneAtTheWrongGroup) {
  group(kHumidity, 1, POLICY_KEEP);
  Client client = temperature_client();

  for (int i = 0; i < 100; ++i) publish_with(client, kHumidityTopic, i % 3);

  EXPECT_EQ(messages(kTemperature, MESSAGE_WRONG, 0), 34u);
  EXPECT_EQ(messages(kTemperature, MESSAGE_WRONG, 1), 33u);
  EXPECT_EQ(messages(kTemperature, MESSAGE_WRONG, 2), 33u);
  EXPECT_EQ(counter(COUNT_MISPREDICT), 1u);
  EXPECT_EQ(counter(COUNT_PUBLISH), 100u);
}

TEST_F(MessagesTest, EachMessageAboveTheLimitOfResetsIsOneAtTheWrongGroup) {
  settings_.resets_per_client = 0;
  write(settings_);
  Client client = temperature_client();

  for (int i = 0; i < 5; ++i) publish_with(client, kHumidityTopic, 1);

  EXPECT_EQ(messages(kTemperature, MESSAGE_WRONG, 1), 5u);
  EXPECT_EQ(counter(COUNT_PUBLISH), 5u);
}

TEST_F(MessagesTest, AKeptConnectionThatReturnsToItsTopicIsRightAgain) {
  group(kHumidity, 1, POLICY_KEEP);
  Client client = temperature_client();

  publish_with(client, kHumidityTopic, 0);
  for (int i = 0; i < 3; ++i) publish_with(client, kTemperatureTopic, 0);
  publish_with(client, kHumidityTopic, 0);

  EXPECT_EQ(messages(kTemperature, MESSAGE_WRONG, 0), 2u);
  EXPECT_EQ(messages(kTemperature, MESSAGE_RIGHT, 0), 3u);
}

TEST_F(MessagesTest, ARouteThatChangesChangesTheVerdict) {
  group(kHumidity, 1, POLICY_KEEP);
  Client client = temperature_client();
  publish_with(client, kHumidityTopic, 0);

  forget_routes();
  route(kHumidityTopic, kTemperature);
  for (int i = 0; i < 3; ++i) publish_with(client, kHumidityTopic, 0);

  EXPECT_EQ(messages(kTemperature, MESSAGE_WRONG, 0), 1u);
  EXPECT_EQ(messages(kTemperature, MESSAGE_RIGHT, 0), 3u);
}

TEST_F(MessagesTest, AMispredictThatEndsItsConnectionIsWithheld) {
  Client client = temperature_client();
  const Bytes good = publish_packet(kTemperatureTopic, "21", {.qos = 1});

  send(client.send(good + good + publish_packet(kHumidityTopic, "40", {.qos = 2})));
  send(client.send(publish_packet(kHumidityTopic, "40")));  // the connection is condemned

  EXPECT_EQ(messages(kTemperature, MESSAGE_RIGHT, 1), 2u);
  EXPECT_EQ(messages(kTemperature, MESSAGE_WITHHELD, 2), 1u);
  EXPECT_EQ(messages(kTemperature, MESSAGE_WRONG, 2), 0u);
  EXPECT_EQ(counter(COUNT_PUBLISH), 3u);
}

TEST_F(MessagesTest, RepeatedSegmentsCountOnce) {
  Client client = temperature_client();
  const Segment segment = client.send(publish_packet(kTemperatureTopic, "21", {.qos = 1}));

  for (int i = 0; i < 3; ++i) send(segment);

  EXPECT_EQ(messages(kTemperature, MESSAGE_RIGHT, 1), 1u);
}

// The header is in one segment and the topic in another: the QoS is remembered.
TEST_F(MessagesTest, TheQosOfAMessageInPiecesIsKnown) {
  for (int qos = 0; qos <= 2; ++qos) {
    SCOPED_TRACE(qos);
    predict(kClient, kTemperature);
    Client client = connect({kClient.address, static_cast<std::uint16_t>(40'000 + qos)});
    const Bytes whole = publish_packet(kTemperatureTopic, "21", {.qos = qos});
    for (const std::ptrdiff_t at : {std::ptrdiff_t{1}, std::ptrdiff_t{6}}) {
      send(client.send(Bytes(whole.begin(), whole.begin() + at)));
      send(client.send(Bytes(whole.begin() + at, whole.end())));
    }
    EXPECT_EQ(messages(kTemperature, MESSAGE_RIGHT, static_cast<unsigned>(qos)), 2u);
  }
}

TEST_F(MessagesTest, ATopicThatIsNotJudgedHasNoVerdict) {
  Client client = temperature_client(MqttVersion::k5);
  const Bytes alias = {0x23, 0, 9};  // never taught (MQTT 5.0 §3.3.2.3.4)

  send(client.send(publish_packet(kTemperatureTopic, "21", {.properties = Bytes{}})));
  send(client.send(publish_packet("", "21", {.qos = 1, .properties = alias})));
  const Bytes longer = publish_packet(std::string(MAX_TOPIC + 1, 't'), "", {.properties = Bytes{}});
  send(client.send(Bytes(longer.begin(), longer.begin() + 1000)));
  send(client.send(Bytes(longer.begin() + 1000, longer.end())));

  EXPECT_EQ(counter(COUNT_TOPIC_ALIAS), 1u);
  EXPECT_EQ(messages(kTemperature, MESSAGE_RIGHT, 0), 1u);
  EXPECT_EQ(messages(kTemperature, MESSAGE_UNJUDGED, 1), 1u);
  EXPECT_EQ(messages(kTemperature, MESSAGE_UNJUDGED, 0), 1u);
  EXPECT_EQ(counter(COUNT_PUBLISH), 3u);
}

}  // namespace
}  // namespace remora
