// SPDX-License-Identifier: Apache-2.0
//
// Limits on the work for a client's packets. Work is counted in judged PUBLISHes; bench/dearest
// measures its time.
#include <algorithm>
#include <random>

#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

constexpr std::size_t kFullSegment = 1428;
// No packet may cause more judgements than this, whatever a PUBLISH costs.
constexpr std::uint64_t kMostAtOnce = 400;

class WorkTest : public SteerTest {
 protected:
  WorkTest() : SteerTest({.early_segments = 8192, .event_bytes = 1 << 22}) {}

  // Adds the largest number of shapes. All fit topics of six levels, and none matches.
  void SetUp() override {
    SteerTest::SetUp();
    if (IsSkipped()) return;
    for (unsigned plus = 0; plus < MAX_SHAPES - 1; plus++) {
      std::string filter;
      for (unsigned i = 0; i < 6; i++) filter += (plus >> i & 1U) != 0 ? "+/" : "x/";
      route(filter + "#", kDefault);
    }
  }

  // A topic that nearly matches each of them: only the first name differs.
  static std::string dear_topic(unsigned n) { return "y/x/x/x/x/x/" + std::to_string(n); }

  // PUBLISHes in at least `count` full segments; the last segment may be shorter.
  template <class Topic>
  static std::vector<Bytes> full_segments(std::size_t count, std::size_t message, Topic topic) {
    Bytes stream;
    for (unsigned n = 0; stream.size() < count * kFullSegment; n++)
      stream = std::move(stream) + publish_packet(topic(n), std::string(message, 'm'));
    std::vector<Bytes> segments;
    for (std::size_t at = 0; at < stream.size(); at += kFullSegment)
      segments.emplace_back(
          stream.begin() + static_cast<std::ptrdiff_t>(at),
          stream.begin() + static_cast<std::ptrdiff_t>(std::min(at + kFullSegment, stream.size())));
    return segments;
  }

  static std::size_t publishes_in(const std::vector<Bytes>& segments) {
    Bytes stream;
    for (const Bytes& segment : segments) stream = std::move(stream) + segment;
    return read_stream(stream).packets.size();
  }

  // Sends it as often as TCP would, until it is forwarded. Returns how often it was withheld.
  unsigned send_until_forwarded(const Segment& segment) {
    for (unsigned withheld = 0; withheld < 1000; withheld++) {
      const std::uint64_t before = counter(COUNT_PUBLISH);
      const Outcome outcome = send(segment);
      EXPECT_LE(counter(COUNT_PUBLISH) - before, kMostAtOnce);
      if (outcome.forwarded()) return withheld;
      EXPECT_TRUE(outcome.dropped());
    }
    ADD_FAILURE() << "withheld for ever";
    return 0;
  }

  // A segment of dear topics that nobody has published yet. It begins with the topic `first`.
  Bytes dear_segment(std::string_view first) {
    Bytes segment = publish_packet(first);
    for (;;) {
      Bytes more = std::move(segment);
      segment = more + publish_packet(dear_topic(dear_topics_), "");
      if (segment.size() > kFullSegment) return more;
      dear_topics_++;
    }
  }

  // The topic that was judged last, according to the records.
  std::string last_topic() {
    for (Event& event : events()) {
      if (event.head.action == ACTION_LEARNED) last_topic_ = event.topic();
      if (event.head.action == ACTION_UNJUDGED) unjudged_++;
    }
    return last_topic_;
  }
  // Number of records of unjudged connections among those that last_topic() has read.
  int unjudged() const { return unjudged_; }

  std::vector<Event> unjudged_events() {
    std::vector<Event> seen = events();
    std::erase_if(seen, [](const Event& event) { return event.head.action != ACTION_UNJUDGED; });
    return seen;
  }

 private:
  unsigned dear_topics_ = 0;
  std::string last_topic_;
  int unjudged_ = 0;
};

TEST_F(WorkTest, AnHonestClientNeverMeetsTheLimit) {
  // Messages of 100 bytes with their headers, on few topics, on many, and on new ones each time.
  const std::pair<const char*, unsigned> clients[] = {
      {"one topic", 1}, {"two", 2}, {"two hundred", 200}, {"a new one each time", ~0U}};
  std::uint16_t port = 40'000;
  for (const auto& [name, topics] : clients) {
    SCOPED_TRACE(name);
    Client client = connect({kClient.address, port++});
    const std::uint64_t before = counter(COUNT_PUBLISH);
    const auto segments = full_segments(300, 70, [topics = topics](unsigned n) {
      return "building/7/floor/3/room/" + std::to_string(100'000 + n % topics);
    });
    for (const Bytes& segment : segments) {
      ASSERT_TRUE(send(client.send(segment)).forwarded());
      events();
    }

    EXPECT_EQ(counter(COUNT_PUBLISH) - before, publishes_in(segments));
    EXPECT_EQ(flow_of(client)->stream.next, client.next_seq());
  }
  EXPECT_EQ(counter(COUNT_UNJUDGED) + counter(COUNT_BLIND), 0u);
}

TEST_F(WorkTest, AnHonestClientWithAliasesNeverMeetsTheLimit) {
  Client client = connect({kClient.address, 40'100});
  const auto aliased = [](std::string_view topic, std::uint8_t alias) {
    return publish_packet(topic, "23.4", {.properties = Bytes{0x23, 0x00, alias}});
  };
  for (std::uint8_t alias = 1; alias <= 3; alias++)
    ASSERT_TRUE(
        send(client.send(aliased("home/temperature/" + std::to_string(alias), alias))).forwarded());

  // Messages that waited until the client could send again: 40 in a segment.
  for (unsigned i = 0; i < 300; i++) {
    Bytes segment;
    for (unsigned n = 0; n < 40; n++)
      segment = std::move(segment) + aliased("", static_cast<std::uint8_t>(1 + n % 3));
    ASSERT_TRUE(send(client.send(segment)).forwarded());
    events();
  }

  EXPECT_EQ(counter(COUNT_PUBLISH), 12003u);
  EXPECT_EQ(counter(COUNT_UNJUDGED) + counter(COUNT_BLIND), 0u);
}

TEST_F(WorkTest, AnHonestClientIsJudgedBehindAGap) {
  for (const unsigned topics : {1u, 2u, 200u}) {
    SCOPED_TRACE(topics);
    Client client = connect({kClient.address, static_cast<std::uint16_t>(41'000 + topics)});
    const std::uint64_t before = counter(COUNT_PUBLISH);
    const auto segments = full_segments(MAX_EARLY, 70, [topics](unsigned n) {
      return "building/7/floor/3/room/" + std::to_string(100'000 + n % topics);
    });
    const Segment first = client.send(segments[0]);
    for (std::size_t i = 1; i < segments.size(); i++)
      ASSERT_TRUE(send(client.send(segments[i])).forwarded());

    send_until_forwarded(first);

    EXPECT_EQ(counter(COUNT_PUBLISH) - before, publishes_in(segments));
    EXPECT_EQ(flow_of(client)->stream.next, client.next_seq());
    events();
  }
  EXPECT_EQ(counter(COUNT_UNJUDGED) + counter(COUNT_BLIND), 0u);
}

TEST_F(WorkTest, ASegmentOfDearTopicsIsLeftUnjudged) {
  Client client = connect();
  const auto segments = full_segments(1, 0, dear_topic);

  EXPECT_TRUE(send(client.send(segments[0])).forwarded());

  EXPECT_LT(counter(COUNT_PUBLISH), publishes_in(segments));
  EXPECT_EQ(counter(COUNT_UNJUDGED), 1u);
  EXPECT_TRUE(flow_of(client)->stream.blind);
  const std::vector<Event> seen = unjudged_events();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].head.flow.port, htobe16(kClient.port));
  EXPECT_EQ(seen[0].head.from_group, kDefault);
}

TEST_F(WorkTest, ManyTinyPacketsInASegmentAreNoTrouble) {
  Client client = connect();
  Bytes tiny;
  while (tiny.size() < kFullSegment) tiny = tiny + pingreq_packet();

  for (int i = 0; i < 100; i++) ASSERT_TRUE(send(client.send(tiny)).forwarded());

  EXPECT_EQ(flow_of(client)->stream.next, client.next_seq());
  EXPECT_EQ(counter(COUNT_UNJUDGED), 0u);
}

// A costly stream rests before it is judged again: judging resumes each time, but less and less
// often.
TEST_F(WorkTest, AClientThatGoesOnIsNotJudgedAllTheTime) {
  Client client = connect();
  publish(client, "known/topic");
  std::uint64_t at_most = 0, judged_segments = 0;
  for (int i = 0; i < 300; i++) {
    const std::uint64_t before = counter(COUNT_PUBLISH);
    ASSERT_TRUE(send(client.send(dear_segment(last_topic()))).forwarded());
    const std::uint64_t judged = counter(COUNT_PUBLISH) - before;
    at_most = std::max(at_most, judged);
    judged_segments += judged > 0 ? 1 : 0;
  }

  EXPECT_GT(judged_segments, 100u);
  EXPECT_LT(judged_segments, 210u);
  EXPECT_LT(at_most, 80u);
  EXPECT_GT(counter(COUNT_RESYNCED), 10u);
  last_topic();
  EXPECT_EQ(unjudged(), 1) << "the daemon hears of a connection once";
}

TEST_F(WorkTest, AStreamIsJudgedAgainWhereAKnownTopicShowsTheWay) {
  group(kTemperature, 1, POLICY_KEEP);
  Client client = connect();
  publish(client, "known/topic");
  send(client.send(dear_segment("known/topic")));
  ASSERT_TRUE(flow_of(client)->stream.blind);

  for (int i = 0; i < 100 && flow_of(client)->stream.blind; i++) publish(client, last_topic());
  publish(client, kTemperatureTopic);

  EXPECT_EQ(counter(COUNT_RESYNCED), 1u);
  EXPECT_EQ(prediction_of(kClient)->group, kTemperature);
}

// An attack with a gap: a few bytes are missing, thousands of segments wait, then the bytes come.
TEST_F(WorkTest, WhatWaitsBehindAGapIsNotAllJudgedAtOnce) {
  Client client = connect();
  publish(client, "known/topic");
  const Segment late = client.send(pingreq_packet());
  std::size_t publishes = 0;
  for (int i = 0; i < 3990; i++) {
    const Bytes segment = dear_segment("x");
    if (send(client.send(segment)).forwarded()) publishes += read_stream(segment).packets.size();
  }
  events();

  const unsigned withheld = send_until_forwarded(late);

  EXPECT_GT(withheld, 0u);
  EXPECT_LT(counter(COUNT_PUBLISH), publishes);
  EXPECT_EQ(counter(COUNT_UNJUDGED), 1u);
  EXPECT_EQ(unjudged_events().size(), 1u);
}

// The broker cannot read past the gap until all waiting segments are judged.
TEST_F(WorkTest, AMispredictFarBehindAGapStillEndsTheConnection) {
  Client client = connect();
  const auto segments = full_segments(MAX_EARLY - 2, 10, [](unsigned) { return "known/topic"; });
  const Segment first = client.send(publish_packet("known/topic"));
  for (const Bytes& segment : segments) ASSERT_TRUE(send(client.send(segment)).forwarded());
  ASSERT_TRUE(send(client.send(publish_packet(kTemperatureTopic))).forwarded());

  Outcome outcome = send(first);
  for (int i = 0; i < 1000 && outcome.dropped(); i++) outcome = send(first);

  ASSERT_TRUE(outcome.is_marked());
  EXPECT_GT(counter(COUNT_WITHHELD), 0u);
  EXPECT_EQ(outcome.mark().to_group, kTemperature);
  EXPECT_EQ(flow_of(client)->state, FLOW_CONDEMNED);
}

// Segments of the flow that arrive meanwhile go on with the judging, too.
TEST_F(WorkTest, NewSegmentsGoOnWithWhatWaits) {
  Client client = connect();
  const auto segments = full_segments(MAX_EARLY - 1, 10, [](unsigned) { return "known/topic"; });
  const Segment first = client.send(publish_packet("known/topic"));
  for (const Bytes& segment : segments) send(client.send(segment));
  ASSERT_TRUE(send(first).dropped());
  const std::uint16_t waiting = flow_of(client)->early;
  ASSERT_GT(waiting, 0u);

  for (int i = 0; i < 100 && (flow_of(client)->flags & FLOW_EARLY) != 0; i++)
    ASSERT_TRUE(publish(client, "known/topic").forwarded());

  EXPECT_EQ(flow_of(client)->early, 0u);
  EXPECT_TRUE(send(first).forwarded());
  EXPECT_EQ(counter(COUNT_WITHHELD), 1u);
  EXPECT_EQ(flow_of(client)->stream.next, client.next_seq());
}

// Any order of arrival is cheap: an early segment's place is searched from the nearer end.
TEST_F(WorkTest, EarlySegmentsMayComeInAnyOrder) {
  std::mt19937 random(1);
  std::uint16_t port = 40'000;
  for (const bool inward : {false, true}) {
    SCOPED_TRACE(inward);
    Client client = connect({kClient.address, port++});
    const std::uint64_t before = counter(COUNT_PUBLISH);
    const Segment first = client.send(publish_packet("known/topic"));
    std::vector<Segment> early;
    for (int i = 0; i < MAX_EARLY; i++) early.push_back(client.send(publish_packet("known/topic")));
    if (inward) {
      std::vector<Segment> both;
      for (std::size_t i = 0; i < early.size() / 2; i++) {
        both.push_back(early[i]);
        both.push_back(early[early.size() - 1 - i]);
      }
      early = std::move(both);
    } else {
      std::ranges::shuffle(early, random);
    }
    for (const Segment& segment : early) ASSERT_TRUE(send(segment).forwarded());

    send_until_forwarded(first);

    EXPECT_EQ(counter(COUNT_PUBLISH) - before, MAX_EARLY + 1u);
  }
  EXPECT_EQ(counter(COUNT_UNJUDGED) + counter(COUNT_BLIND), 0u);
}

// Nobody has proved to own a half-open connection, so no client is reported for it.
TEST_F(WorkTest, AConnectionWithoutAConnectIsNotReported) {
  Client client(kClient, kService);
  send(client.syn());
  send(client.ack());
  client.skip(14);
  for (int i = 0; i < 600; i++)
    send(client.at(static_cast<std::uint32_t>(20 + 2 * (i % 2 == 0 ? i : 1200 - i)), Bytes{0xc0}));

  EXPECT_TRUE(unjudged_events().empty());
}

// In a long window, the client would wait for a timeout each time that the missing segment is
// withheld.
TEST_F(WorkTest, OneRepetitionClosesAGapInALongWindow) {
  Client client = connect();
  const auto segments = full_segments(200, 100, [](unsigned) { return "known/topic"; });
  const Segment late = client.send(segments[0]);
  std::vector<Segment> refused;
  for (std::size_t i = 1; i < segments.size(); i++) {
    const Segment segment = client.send(segments[i]);
    if (!send(segment).forwarded()) refused.push_back(segment);
  }

  EXPECT_TRUE(send(late).forwarded());

  EXPECT_EQ(counter(COUNT_WITHHELD), 0u);
  ASSERT_EQ(refused.size(), segments.size() - 1 - MAX_EARLY);
  for (const Segment& segment : refused) ASSERT_TRUE(send(segment).forwarded());
  EXPECT_EQ(flow_of(client)->stream.next, client.next_seq());
  EXPECT_EQ(counter(COUNT_BLIND) + counter(COUNT_UNJUDGED), 0u);
}

class ShareTest : public SteerTest {
 protected:
  ShareTest() : SteerTest({.flows = 8192, .early_segments = 8192}) {}

  // Opens connections, and sends each a gap followed by single bytes.
  void send_single_bytes(IpAddress address, int connections, int bytes) {
    for (int i = 0; i < connections; i++) {
      Client client = connect({address, static_cast<std::uint16_t>(20'000 + i)});
      client.skip(5);
      for (int n = 0; n < bytes; n++) send(client.send(Bytes{0xc0}));
    }
  }
};

TEST_F(ShareTest, AFewConnectionsDoNotPushOutThoseOfOthers) {
  Client victim = connect();
  publish(victim, "a");
  const Segment late = victim.send(publish_packet("a"));
  ASSERT_TRUE(send(victim.send(publish_packet(kTemperatureTopic))).forwarded());

  for (std::uint32_t n = 0; n < 4; n++)
    send_single_bytes(ipv4("10.7.0.1") + n, 8192 / MAX_EARLY / 4 + 1, MAX_EARLY);

  EXPECT_TRUE(send(late).is_marked()) << "a broker of the wrong group can read it";
  EXPECT_EQ(flow_of(victim)->state, FLOW_CONDEMNED);
}

TEST_F(ShareTest, AFlowHasAFewAndAClientItsShare) {
  const int share = 8192 / EARLY_SHARE;
  send_single_bytes(kClient.address, 1, 2000);
  EXPECT_EQ(counter(COUNT_EARLY), std::uint64_t{MAX_EARLY});
  EXPECT_EQ(counter(COUNT_EARLY_REFUSED), 2000u - MAX_EARLY);

  send_single_bytes(kClient.address + 1, 2 * share / MAX_EARLY, MAX_EARLY);
  EXPECT_EQ(counter(COUNT_EARLY), std::uint64_t{MAX_EARLY + share});
}

TEST_F(ShareTest, WhatWasJudgedMakesRoom) {
  Client client = connect();
  for (int round = 0; round < 2 * 8192 / EARLY_SHARE / MAX_EARLY; round++) {
    const Segment late = client.send(publish_packet("a"));
    for (int i = 0; i < MAX_EARLY; i++) ASSERT_TRUE(publish(client, "a").forwarded());
    for (int i = 0; i < 100 && !send(late).forwarded(); i++) continue;
    ASSERT_EQ(flow_of(client)->early, 0u);
  }
  EXPECT_EQ(counter(COUNT_EARLY_REFUSED), 0u);
}

// A refused segment is dropped, so nothing is lost or left unjudged: the client sends it again.
TEST_F(ShareTest, WhatIsRefusedIsJudgedWhenItComesAgain) {
  Client client = connect();
  const Segment late = client.send(publish_packet("a"));
  std::vector<Segment> early;
  for (int i = 0; i < 600; i++) early.push_back(client.send(publish_packet("a")));
  std::vector<Segment> refused;
  for (const Segment& segment : early)
    if (!send(segment).forwarded()) refused.push_back(segment);
  ASSERT_FALSE(refused.empty());
  while (!send(late).forwarded()) continue;

  for (const Segment& segment : refused) EXPECT_TRUE(send(segment).forwarded());

  EXPECT_EQ(counter(COUNT_PUBLISH), 601u);
  EXPECT_EQ(counter(COUNT_BLIND), 0u);
}

}  // namespace
}  // namespace remora
