// SPDX-License-Identifier: Apache-2.0
//
// Lessons from a PUBLISH, and the group to which its topic belongs.
#include <random>
#include <set>
#include <string>
#include <vector>

#include "daemon/mqtt/shapes.h"
#include "tests/support/topics.h"
#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

class LearnTest : public SteerTest {
 protected:
  // The group of a topic, found with a new connection whose mispredict has no effect.
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
  EXPECT_GT(prediction_of(kClient)->time, 1u);
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
  EXPECT_GT(prediction_of(kClient)->time, 1u);
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
  // MQTT 5.0 §4.7.2: the filter does not match topics that begin with `$`.
  EXPECT_EQ(group_of("$SYS/monitor"), kDefault);

  forget_routes();
  route("$SYS/#", kTemperature);
  EXPECT_EQ(group_of("$SYS/broker"), kTemperature);  // a topic without a verdict so far
}

// The kernel hashes a topic in place, in pieces that depend on its length.
TEST_F(LearnTest, TopicsOfEveryLengthHaveTheHashOfTheirRoute) {
  Client client = connect();
  std::string topic;
  for (int length = 1; length <= 1300; length++) {
    topic += static_cast<char>('a' + length * 7 % 26);
    publish(client, topic);
    ASSERT_EQ(flow_of(client)->topic_hash, hash(topic)) << length;
  }
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

TEST_F(LearnTest, APlusStandsForOneLevel) {
  route("sport/+/player1", kTemperature);
  route("+/+", kHumidity);

  EXPECT_EQ(group_of("sport/tennis/player1"), kTemperature);
  EXPECT_EQ(group_of("sport//player1"), kTemperature);
  EXPECT_EQ(group_of("sport/tennis/player11"), kDefault);
  EXPECT_EQ(group_of("sport/tennis/player1/x"), kDefault);
  EXPECT_EQ(group_of("sport/player1"), kHumidity);
  EXPECT_EQ(group_of("/finance"), kHumidity);
  EXPECT_EQ(group_of("finance/"), kHumidity);
  EXPECT_EQ(group_of("finance"), kDefault);
  EXPECT_EQ(group_of("$SYS/monitor"), kDefault);
}

// Level by level from the left: a name, `+`, `#`.
TEST_F(LearnTest, TheFilterThatIsMoreSpecificFromTheLeftWins) {
  route("a/#", kTemperature);
  route("+/b/c", kHumidity);
  route("a/+/c/#", kHumidity);

  EXPECT_EQ(group_of("a/b"), kTemperature);
  EXPECT_EQ(group_of("x/b/c"), kHumidity);
  EXPECT_EQ(group_of("a/b/c"), kHumidity);
  EXPECT_EQ(group_of("a/b/d"), kTemperature);
}

TEST_F(LearnTest, TheShapesOfTheNextRoutesAreNotYetInForce) {
  route("a/+", kTemperature);
  chain_->map<std::uint32_t, shape_set>("shape_sets").put((settings_.generation + 1) % 2, {});

  EXPECT_EQ(group_of("a/b"), kTemperature);
  forget_routes();
  EXPECT_EQ(group_of("a/c"), kDefault);
}

// A filter of more levels than the kernel splits may or may not match it.
TEST_F(LearnTest, ATopicThatADeepFilterMayMatchIsLeftToTheDaemon) {
  const auto deep = [](std::size_t levels) {
    std::string topic = "x";
    while (--levels > 0) topic += "/x";
    return topic;
  };
  route(deep(40) + "/+", kTemperature);
  route("x/#", kHumidity);
  route(deep(35), kTemperature);
  group(kHumidity, 1, POLICY_KEEP);
  group(kTemperature, 1, POLICY_KEEP);

  EXPECT_EQ(group_of(deep(MAX_LEVELS)), kHumidity);
  EXPECT_EQ(group_of(deep(35)), kTemperature) << "an exact route is sure";
  Client client = connect();
  EXPECT_TRUE(publish(client, deep(MAX_LEVELS + 1)).forwarded());
  EXPECT_TRUE(publish(client, deep(41)).forwarded());

  EXPECT_EQ(counter(COUNT_TOPIC_LEFT), 2u);
  EXPECT_EQ(prediction_of(kClient)->group, kTemperature);
}

TEST_F(LearnTest, BrokenUtf8IsNoLesson) {
  Client client = connect();
  std::uint64_t invalid = 0;
  for (const std::string_view topic :
       {"\xff", "a/\xc3", "a-long-topic-of-24-bytes\xc3", "a-topic-of-22-bytes-a-\xe2\x82(",
        "\xc0\x80", "\xed\xa0\x80/surrogate", "\xf4\x90\x80\x80"}) {
    EXPECT_TRUE(publish(client, topic).forwarded()) << topic;
    EXPECT_EQ(counter(COUNT_TOPIC_INVALID), ++invalid) << topic;
  }
  EXPECT_FALSE(prediction_of(kClient));
  EXPECT_EQ(counter(COUNT_JUDGED), 0u);

  route("caf\xc3\xa9/+", kTemperature);
  EXPECT_EQ(group_of("caf\xc3\xa9/\xf0\x9f\xa6\x88"), kTemperature);
  EXPECT_EQ(group_of("a-long-topic-of-24-byte\xc3\xa9"), kDefault);
}

// The daemon's plain matcher gives the expected result; its compiled matcher must agree.
TEST_F(LearnTest, RandomTopicsGoWhereThePlainMatcherSays) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  TopicMaker make(seed);
  settings_.resets_per_client = 0;
  write(settings_);
  std::size_t matched = 0;

  for (int round = 0; round < 20; round++) {
    forget_routes();
    const std::size_t most = round % 2 == 0 ? 5 : 40;
    std::vector<Route> routes;
    std::set<std::string> filters;
    for (int i = 0; i < 40; i++) {
      const std::string filter = make.number() % 4 == 0 ? make.topic(most) : make.filter(most);
      // Without deep filters, because the kernel leaves topics that they may match to the daemon.
      if (has_wildcard(filter) && !kernel_shape(filter)) continue;
      if (!filters.insert(filter).second) continue;
      const auto group = static_cast<std::uint16_t>(make.number() % 3);
      route(filter, group);
      routes.push_back({filter, std::to_string(group), 0});
    }
    const RouteTable compiled(routes, random_topic_keys(seed));
    Client client = connect({kClient.address, static_cast<std::uint16_t>(50'000 + round)});
    for (int i = 0; i < 200; i++) {
      const std::string topic = make.topic(most);
      const Route* best = plain_choice(routes, topic);
      const std::string expected = best == nullptr ? std::to_string(kDefault) : best->group;
      matched += best != nullptr;
      ASSERT_EQ(compiled.match(topic).value_or(std::to_string(kDefault)), expected) << topic;

      publish(client, topic, "");

      ASSERT_EQ(std::to_string(prediction_of(kClient)->group), expected)
          << "'" << topic << "' by '" << (best == nullptr ? "" : best->filter) << "'";
    }
  }
  EXPECT_GT(matched, 1000u);
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
  const Peer other_service{kService.address + 1, 1883};
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
