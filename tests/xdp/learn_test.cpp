// SPDX-License-Identifier: Apache-2.0
//
// What a PUBLISH teaches, and which group its topic belongs to.
#include <map>
#include <random>

#include "daemon/topic_filter.h"
#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

class LearnTest : public SteerTest {
 protected:
  // The group to which a topic belongs, as a new connection finds out that stays
  // where it is.
  std::uint16_t group_of(std::string_view topic) {
    settings_.resets_per_client = 0;
    write(settings_);
    Client client = connect({kClient.address, next_port_++});
    const std::uint64_t judged = counter(COUNT_JUDGED);
    EXPECT_TRUE(publish(client, topic, "").forwarded()) << topic;
    EXPECT_EQ(counter(COUNT_JUDGED), judged + 1) << topic;
    return prediction_of(kClient)->group;
  }

 private:
  std::uint16_t next_port_ = 42'000;
};

TEST_F(LearnTest, AWellPredictedPublishIsForwardedAndRecordedOnce) {
  predict(kClient, kTemperature);
  Client client = connect();

  for (int i = 0; i < 3; i++) EXPECT_EQ(publish(client, kTemperatureTopic).group(), kTemperature);

  EXPECT_EQ(prediction_of(kClient)->group, kTemperature);
  EXPECT_EQ(prediction_of(kClient)->topic_hash, hash(kTemperatureTopic));
  EXPECT_GT(prediction_of(kClient)->seen_at_ns, 1u);
  EXPECT_EQ(counter(COUNT_LEARNED), 1u);
  EXPECT_EQ(counter(COUNT_PUBLISH), 3u);
  EXPECT_EQ(counter(COUNT_JUDGED), 1u);
  EXPECT_EQ(counter(COUNT_MISPREDICT), 0u);
  const auto records = events();
  ASSERT_EQ(records.size(), 1u);
  const event& head = records[0].head;
  EXPECT_EQ(head.action, ACTION_LEARNED);
  EXPECT_EQ(head.flags, 0);
  EXPECT_EQ(head.to_group, kTemperature);
  EXPECT_EQ(head.from_group, kTemperature);
  EXPECT_EQ(head.flow.port, htobe16(kClient.port));
  EXPECT_EQ(head.flow.service, kServiceNumber);
  EXPECT_EQ(head.flow.client.word[3], htobe32(kClient.address.ipv4()));
  EXPECT_EQ(records[0].topic(), kTemperatureTopic);
  EXPECT_EQ(records[0].data, kTemperatureTopic);
}

TEST_F(LearnTest, ANewClientOfTheDefaultGroupIsLearnedToo) {
  Client client = connect();

  EXPECT_EQ(publish(client, "no/route").group(), kDefault);

  EXPECT_EQ(prediction_of(kClient)->group, kDefault);
  EXPECT_EQ(counter(COUNT_MISPREDICT), 0u);
  EXPECT_EQ(events().size(), 1u);
}

TEST_F(LearnTest, AClientThatIsKnownWithItsTopicIsNoNews) {
  predict(kClient, kTemperature, kTemperatureTopic);
  Client client = connect();

  publish(client, kTemperatureTopic);

  EXPECT_EQ(counter(COUNT_JUDGED), 1u);
  EXPECT_EQ(counter(COUNT_LEARNED), 0u);
  EXPECT_TRUE(events().empty());
  EXPECT_GT(prediction_of(kClient)->seen_at_ns, 1u);
}

TEST_F(LearnTest, AnotherTopicOfTheSameGroupIsNoMispredict) {
  route("measurements/kelvin", kTemperature);
  predict(kClient, kTemperature, kTemperatureTopic);
  Client client = connect();
  publish(client, kTemperatureTopic);

  EXPECT_EQ(publish(client, "measurements/kelvin").group(), kTemperature);

  EXPECT_EQ(counter(COUNT_MISPREDICT), 0u);
  EXPECT_EQ(counter(COUNT_LEARNED), 1u);
  const auto records = events();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].head.action, ACTION_LEARNED);
  EXPECT_EQ(records[0].topic(), "measurements/kelvin");
}

TEST_F(LearnTest, ThePredictionFollowsTheLastTopic) {
  group(kHumidity, 1, POLICY_KEEP);
  predict(kClient, kTemperature, kTemperatureTopic);
  Client client = connect();
  publish(client, kTemperatureTopic);

  EXPECT_EQ(publish(client, kHumidityTopic).group(), kTemperature) << "policy keep";

  EXPECT_EQ(prediction_of(kClient)->group, kHumidity);
  EXPECT_EQ(prediction_of(kClient)->topic_hash, hash(kHumidityTopic));
  EXPECT_EQ(send(Client({kClient.address, 41'000}, kService).syn()).group(), kHumidity);
}

TEST_F(LearnTest, ExactBeatsPrefix) {
  route("measurements/#", kHumidity);

  EXPECT_EQ(group_of(kTemperatureTopic), kTemperature);
  EXPECT_EQ(group_of("measurements/pressure"), kHumidity);
}

TEST_F(LearnTest, TheLongestPrefixWins) {
  route("a/#", kTemperature);
  route("a/b/c/#", kHumidity);

  EXPECT_EQ(group_of("a/b/c/d"), kHumidity);
  EXPECT_EQ(group_of("a/b/c/d/e/f"), kHumidity);
  EXPECT_EQ(group_of("a/b/d"), kTemperature);
  EXPECT_EQ(group_of("a/b/cc"), kTemperature);
  EXPECT_EQ(group_of("b/a"), kDefault);
}

// MQTT 5.0 §4.7.1.2: `sport/#` also matches the singular `sport`.
TEST_F(LearnTest, APrefixMatchesItsParentLevel) {
  route("sport/tennis/#", kTemperature);

  EXPECT_EQ(group_of("sport/tennis"), kTemperature);
  EXPECT_EQ(group_of("sport/tennis/"), kTemperature);
  EXPECT_EQ(group_of("sport/tennis/x"), kTemperature);
  EXPECT_EQ(group_of("sport/tennisball"), kDefault);
  EXPECT_EQ(group_of("sport"), kDefault);
}

TEST_F(LearnTest, TheSameFilterExactAndAsPrefixAreTwoRoutes) {
  route("sport", kHumidity);
  route("sport/#", kTemperature);

  EXPECT_EQ(group_of("sport"), kHumidity);
  EXPECT_EQ(group_of("sport/x"), kTemperature);
}

TEST_F(LearnTest, AnEmptyFirstLevelIsALevel) {
  route("/#", kTemperature);

  EXPECT_EQ(group_of("/"), kTemperature);
  EXPECT_EQ(group_of("/finance"), kTemperature);
  EXPECT_EQ(group_of("//"), kTemperature);
  EXPECT_EQ(group_of("finance/"), kDefault);
}

TEST_F(LearnTest, HashMatchesAllButDollarTopics) {
  route("#", kHumidity);

  EXPECT_EQ(group_of("anything"), kHumidity);
  EXPECT_EQ(group_of("/"), kHumidity);
  EXPECT_EQ(group_of(kTemperatureTopic), kTemperature);
  // MQTT 5.0 §4.7.2: not the topics that begin with `$`.
  EXPECT_EQ(group_of("$SYS/monitor"), kDefault);
  route("$SYS/#", kTemperature);
  EXPECT_EQ(group_of("$SYS/monitor"), kTemperature);
}

TEST_F(LearnTest, PrefixesOfEveryLengthAreFound) {
  std::string prefix;
  for (int length = 1; length <= 40; length++) {
    prefix += length % 7 == 0 ? '/' : 'p';
    SCOPED_TRACE(prefix);
    forget_routes();
    route(prefix + "/#", kTemperature);

    EXPECT_EQ(group_of(prefix + "/x"), kTemperature);
    EXPECT_EQ(group_of(prefix + "/" + std::string(40, '/')), kTemperature);
    EXPECT_EQ(group_of(prefix + "p/x"), kDefault);
  }
}

TEST_F(LearnTest, ALongTopicOfNothingButSeparatorsFindsItsPrefix) {
  route("/#", kTemperature);

  EXPECT_EQ(group_of(std::string(1400, '/')), kTemperature);
}

// The plain matcher of the daemon decides what is right: exact first, then the
// longest prefix, then `#`.
TEST_F(LearnTest, RandomTopicsGoWhereThePlainMatcherSays) {
  const std::uint32_t seed = 7;
  std::mt19937 random(seed);
  const auto random_topic = [&] {
    constexpr std::string_view kLevels[] = {"a", "b", "long-level-name", "", "$x", "seven77"};
    std::string topic(kLevels[random() % 6]);
    for (auto more = random() % 5; more > 0; more--)
      topic += '/' + std::string(kLevels[random() % 6]);
    return topic;
  };
  std::map<std::string, std::uint16_t> routes{{"#", kHumidity}};
  for (int i = 0; i < 60; i++) {
    const std::string filter = random_topic() + (random() % 2 ? "/#" : "");
    if (!filter.empty()) routes[filter] = static_cast<std::uint16_t>(random() % 3);
  }
  for (const auto& [filter, group] : routes) route(filter, group);
  settings_.resets_per_client = 0;
  write(settings_);
  Client client = connect();

  for (int round = 0; round < 2000; round++) {
    const std::string topic = random_topic();
    if (topic.empty()) continue;
    std::string best;
    for (const auto& [filter, group] : routes) {
      if (!filter_matches(filter, topic)) continue;
      if (filter == topic || (best != topic && filter.size() > best.size())) best = filter;
    }
    const std::uint16_t expected = best.empty() ? kDefault : routes[best];

    publish(client, topic, "");

    ASSERT_EQ(prediction_of(kClient)->group, expected)
        << "seed " << seed << ": '" << topic << "' by '" << best << "'";
  }
}

TEST_F(LearnTest, ARouteToAGroupThatIsGoneLeavesTheConnectionWhereItIs) {
  route("gone/topic", kNoGroupYet);
  Client client = connect();

  EXPECT_EQ(publish(client, "gone/topic").group(), kDefault);

  EXPECT_EQ(send(Client({kClient.address, 41'000}, kService).syn()).group(), kDefault);
}

TEST_F(LearnTest, ChangedRoutesAreAppliedToALivingConnection) {
  predict(kClient, kTemperature);
  Client client = connect();
  publish(client, kTemperatureTopic);
  ASSERT_EQ(counter(COUNT_JUDGED), 1u);

  forget_routes();
  route(kTemperatureTopic, kHumidity);

  EXPECT_TRUE(publish(client, kTemperatureTopic).is_marked());
  EXPECT_EQ(prediction_of(kClient)->group, kHumidity);
  EXPECT_EQ(flow_of(client)->state, FLOW_CONDEMNED);
}

TEST_F(LearnTest, RoutesOfTheSameMeaningOnlyJudgeOnceMore) {
  predict(kClient, kTemperature);
  Client client = connect();
  publish(client, kTemperatureTopic);
  forget_routes();
  route(kTemperatureTopic, kTemperature);

  publish(client, kTemperatureTopic);
  publish(client, kTemperatureTopic);

  EXPECT_EQ(counter(COUNT_JUDGED), 2u);
  EXPECT_EQ(counter(COUNT_LEARNED), 1u);
}

TEST_F(LearnTest, ServicesOfOneClientLearnApart) {
  const Endpoint other_service{kService.address + 1, 1883};
  service(other_service, kServiceNumber + 1, kHumidity);
  Client client(kClient, other_service);
  send(client.syn());
  send(client.send(connect_packet()));
  send(client.send(publish_packet("no/route")));

  EXPECT_FALSE(prediction_of(kClient));
  EXPECT_EQ(counter(COUNT_LEARNED), 1u);
  EXPECT_EQ(events().at(0).head.to_group, kHumidity);
}

}  // namespace
}  // namespace remora
