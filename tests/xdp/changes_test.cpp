// SPDX-License-Identifier: Apache-2.0
//
// Addresses that keep moving between groups are settled; forged lessons do not settle an address.
#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

constexpr std::uint32_t kChanges = 4;
constexpr std::uint64_t kDayNs = 24ull * 3600 * 1'000'000'000;

class ChangesTest : public SteerTest {
 protected:
  void SetUp() override {
    SteerTest::SetUp();
    if (IsSkipped()) return;
    settings_.resets_per_client = 1000;
    settings_.changes_per_day = kChanges;
    write(settings_);
  }

  Client come(Peer from) { return connect_and_answer(from, next_isn()); }
  Client come() { return come({kClient.address, next_port()}); }

  // Publishes, and connects again if the connection is reset.
  void publish_and_come_back(Client& client, std::string_view topic) {
    if (publish(client, topic).is_marked()) client = come({client.self().address, next_port()});
  }

  // A device that publishes to a topic of each of two groups every now and then.
  void cycle(Client& device) {
    publish_and_come_back(device, kTemperatureTopic);
    publish_and_come_back(device, kHumidityTopic);
  }

  // A forged connection: nobody answers the packets that it causes.
  Client forge(std::string_view topic) {
    Client forged({kClient.address, next_port()}, kService, next_isn());
    send(forged.syn());
    send(forged.syn());
    send(forged.send(connect_packet()));
    publish(forged, topic);
    return forged;
  }

  std::uint16_t next_port() { return port_++; }
  std::uint32_t next_isn() { return isn_ += 100'000; }

 private:
  std::uint16_t port_ = 41'000;
  std::uint32_t isn_ = 0;
};

TEST_F(ChangesTest, ADeviceThatPublishesToTwoGroupsIsKeptAfterSomeResets) {
  Client device = come();
  for (int i = 0; i < 5; i++) cycle(device);
  const std::uint64_t resets = counter(COUNT_RESET);
  EXPECT_LE(resets, 7u);

  for (int i = 0; i < 100; i++) cycle(device);

  EXPECT_EQ(counter(COUNT_RESET), resets);
  EXPECT_GE(counter(COUNT_KEPT_CHANGING), 100u);
  EXPECT_EQ(counter(COUNT_KEPT_CLIENT), 0u);
}

TEST_F(ChangesTest, WithoutALimitItIsNeverKeptNorAsked) {
  settings_.changes_per_day = 0;
  write(settings_);
  Client device = come();

  for (int i = 0; i < 20; i++) cycle(device);

  EXPECT_GE(counter(COUNT_RESET), 39u);
  EXPECT_EQ(counter(COUNT_KEPT_CHANGING), 0u);
  EXPECT_EQ(counter(COUNT_ASKED), 0u);
}

TEST_F(ChangesTest, ClientsBehindOneAddressAreKept) {
  for (int i = 0; i < 20; i++) {
    Client temperature = come(), humidity = come();
    publish_and_come_back(temperature, kTemperatureTopic);
    publish_and_come_back(humidity, kHumidityTopic);
    send(temperature.fin());
    send(humidity.fin());
  }

  EXPECT_LE(counter(COUNT_RESET), 10u);
  EXPECT_GE(counter(COUNT_KEPT_CHANGING), 10u);
}

TEST_F(ChangesTest, TheHistoryHearsOfWhatIsKept) {
  Client device = come();
  for (int i = 0; i < 5; i++) cycle(device);
  events();

  cycle(device);

  const auto records = events();
  ASSERT_FALSE(records.empty());
  EXPECT_EQ(records[0].head.action, ACTION_CHANGING);
  EXPECT_FALSE(records[0].topic().empty());
  EXPECT_NE(records[0].head.from_group, records[0].head.to_group);
}

TEST_F(ChangesTest, AfterADayWithoutAChangeItIsResetAgain) {
  Client device = come();
  for (int i = 0; i < 5; i++) cycle(device);
  const std::uint64_t resets = counter(COUNT_RESET), kept = counter(COUNT_KEPT_CHANGING);
  ASSERT_EQ(counts_of(kClient)->changes, unsigned{CHANGING});
  settings_.lesson_clock_ns += kDayNs;
  write(settings_);

  cycle(device);

  EXPECT_GT(counter(COUNT_RESET), resets);
  EXPECT_EQ(counter(COUNT_KEPT_CHANGING), kept);
}

// The host is off, or a filter hides the packets caused by the forged ones from it.
TEST_F(ChangesTest, ForgedLessonsPutNobodyThere) {
  for (int i = 0; i < 50; i++) {
    forge(kHumidityTopic);
    Client victim = come();
    EXPECT_TRUE(publish(victim, kTemperatureTopic).is_marked()) << "reset to the right group";
    victim = come();
    EXPECT_EQ(publish(victim, kTemperatureTopic).group(), kTemperature);
    send(victim.fin());
  }

  EXPECT_EQ(counter(COUNT_KEPT_CHANGING), 0u);
  EXPECT_EQ(counts_of(kClient)->changes, 0u);
}

TEST_F(ChangesTest, ForgedConnectionsAloneDoNeither) {
  for (int i = 0; i < 50; i++) forge(i % 2 ? kHumidityTopic : kTemperatureTopic);

  EXPECT_EQ(counter(COUNT_KEPT_CHANGING), 0u);
  EXPECT_EQ(counts_of(kClient)->changes, 0u);
}

// The host is running: it answers the question, and then the broker's SYN-ACK.
TEST_F(ChangesTest, AHostThatDidNotConnectSaysSo) {
  for (int i = 0; i < 50; i++) {
    Client forged({kClient.address, next_port()}, kService, next_isn());
    const Outcome out = send(forged.syn());
    if (is_question(out)) send(answer_to(forged, out));
    send(forged.syn());
    send(forged.send(connect_packet()));
    publish(forged, i % 2 ? kHumidityTopic : kTemperatureTopic);
    send(forged.rst().seq(forged.isn() + 1));
  }

  EXPECT_GT(counter(COUNT_ANSWERED), 0u);
  EXPECT_EQ(counter(COUNT_KEPT_CHANGING), 0u);
  EXPECT_EQ(counts_of(kClient)->changes, 0u);
}

TEST_F(ChangesTest, NobodyIsAskedAfterOneMispredict) {
  Client client = come();
  publish_and_come_back(client, kTemperatureTopic);
  for (int i = 0; i < 10; i++) client = come();

  EXPECT_EQ(counter(COUNT_ASKED), 0u);
}

TEST_F(ChangesTest, TheQuestionIsASynAckThatNoClientAccepts) {
  for (const Peer& at : {kClient, kClient6}) {
    if (at.address.is_ipv6()) ipv6_reals();
    Client device = come(at);
    cycle(device);
    const Client next({at.address, next_port()}, at.address.is_ipv6() ? kService6 : kService,
                      next_isn());

    const Outcome out = send(next.syn());

    ASSERT_TRUE(is_question(out));
    EXPECT_FALSE(out.packet.tcp().rst);
    EXPECT_GT(be32toh(out.packet.tcp().ack_seq) - next.isn(), 0xffffu);
    EXPECT_EQ(out.packet.destination(), at.address);
    EXPECT_EQ(be16toh(out.packet.tcp().dest), next.self().port);
    EXPECT_EQ(be16toh(out.packet.tcp().source), kService.port);
    EXPECT_EQ(out.packet.destination_mac(), kGatewayMac);
    EXPECT_TRUE(out.packet.checksums_are_valid());
  }
}

TEST_F(ChangesTest, AQuestionWithoutAnAnswerCostsOneSyn) {
  Client device = come();
  cycle(device);
  Client silent({kClient.address, next_port()}, kService, next_isn());
  ASSERT_TRUE(is_question(send(silent.syn())));

  EXPECT_TRUE(send(silent.syn()).forwarded());
  EXPECT_TRUE(send(silent.send(connect_packet())).forwarded());
  EXPECT_EQ(flow_of(silent)->flags & FLOW_ANSWERED, 0);
}

TEST_F(ChangesTest, AGuessIsNoAnswer) {
  Client device = come();
  cycle(device);
  const Client asked({kClient.address, next_port()}, kService, next_isn());
  const Outcome question = send(asked.syn());
  ASSERT_TRUE(is_question(question));
  const std::uint32_t number = be32toh(question.packet.tcp().ack_seq);
  const std::uint64_t answered = counter(COUNT_ANSWERED);

  for (const std::uint32_t guess : {number + 1, number - 1, 0u, asked.isn() + 1})
    send(asked.rst().seq(guess));

  EXPECT_EQ(counter(COUNT_ANSWERED), answered);
  EXPECT_EQ(half_open_of(asked)->flags & FLOW_ANSWERED, 0);
}

// The old connection of the port may still be condemned.
TEST_F(ChangesTest, AnAnswerCountsOnAPortThatIsUsedAgain) {
  Client device = come();
  cycle(device);
  ASSERT_TRUE(publish(device, kTemperatureTopic).is_marked());
  device = come(device.self());

  EXPECT_NE(flow_of(device)->flags & FLOW_ANSWERED, 0);
}

TEST_F(ChangesTest, QuestionsAreFew) {
  for (int i = 0; i < 200; i++) forge(i % 2 ? kHumidityTopic : kTemperatureTopic);

  EXPECT_EQ(counter(COUNT_ASKED), unsigned{QUESTIONS_A_DAY});
}

}  // namespace
}  // namespace remora
