// SPDX-License-Identifier: Apache-2.0
//
// The programs themselves over random sessions on random paths, against the plain
// reader of the whole stream. REMORA_SEED and REMORA_ROUNDS: tests/support/seeds.h.
//
// Groups have the policy `keep`, so each change of a flow's topic is reported through the ring
// buffer, with the group of the verdict.
#include <algorithm>
#include <random>
#include <utility>

#include "tests/support/blind_sender.h"
#include "tests/support/pieces.h"
#include "tests/support/plain_reader.h"
#include "tests/support/seeds.h"
#include "tests/support/session.h"
#include "tests/support/tcp_path.h"
#include "tests/support/topics.h"
#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

constexpr std::uint16_t kSensors = 3;

// The link has room for every outer header.
constexpr std::size_t kMss = 1400;

// A change of topic that the stage reported, or should have.
struct Judged {
  std::string topic;
  std::uint16_t group = 0;

  bool operator==(const Judged&) const = default;
};

void PrintTo(const Judged& judged, std::ostream* out) {
  *out << '\'' << judged.topic.substr(0, 60) << "' of " << judged.topic.size() << " bytes -> "
       << judged.group;
}

// The length of a stream's beginning that has arrived without a gap.
class Prefix {
 public:
  explicit Prefix(std::size_t stream_length) : has_(stream_length) {}

  void add(std::size_t begin, std::size_t length) {
    std::fill_n(has_.begin() + static_cast<std::ptrdiff_t>(begin), length, true);
    while (size_ < has_.size() && has_[size_]) size_++;
  }
  std::size_t size() const { return size_; }

 private:
  std::vector<bool> has_;
  std::size_t size_ = 0;
};

std::vector<std::size_t> packet_ends(const Bytes& stream) {
  std::vector<std::size_t> ends;
  for (const StreamPacket& packet : read_stream(stream).packets)
    ends.push_back(packet.offset + packet.length);
  return ends;
}

class PropertyTest : public SteerTest {
 protected:
  PropertyTest()
      : SteerTest({.clients = 1 << 16,
                   .topics = 1 << 12,
                   .early_segments = 1 << 13,
                   .event_bytes = 1 << 22}) {}

  void SetUp() override {
    SteerTest::SetUp();
    if (IsSkipped()) return;
    ipv6_reals();  // clients of both families
    set_policy(POLICY_KEEP);
    forget_routes();
    for (const Route& one : routes())
      route(one.filter, static_cast<std::uint16_t>(std::stoul(one.group)));
  }

  void set_policy(policy policy) {
    for (const std::uint16_t number : {kDefault, kTemperature, kHumidity, kSensors})
      group(number, 1, policy);
  }

  // The routes of SteerTest, and some that match topics of random sessions.
  static const std::vector<Route>& routes() {
    static const std::vector<Route> routes = [] {
      const std::pair<std::string_view, std::uint16_t> filters[] = {
          {kTemperatureTopic, kTemperature},
          {kHumidityTopic, kHumidity},
          {"sensors/#", kSensors},
          {"sensors/a", kTemperature},
          {"sensors/a/#", kHumidity},
          {"sensors/+/x1", kDefault},
          {"$SYS/#", kTemperature},
          {"+/room/+", kHumidity},
          {"room//#", kHumidity},
          {"room/+/#", kSensors},
          {"\xc3\xa9/\xe2\x82\xac/\xf0\x9f\x90\x9f", kSensors},
      };
      std::vector<Route> all;
      for (const auto& [filter, number] : filters)
        all.push_back({std::string(filter), std::to_string(number)});
      return all;
    }();
    return routes;
  }

  static std::vector<std::string> often() {
    std::vector<std::string> topics = {"sensors/a/x1", "sensors/b/x1", "sensors", "sensors/",
                                       "room//a",      "/room/a",      "other"};
    for (const Route& route : routes())
      if (is_topic_name(route.filter)) topics.push_back(route.filter);
    return topics;
  }

  static std::uint16_t group_of(const std::string& topic) {
    const Route* chosen = plain_choice(routes(), topic);
    return chosen == nullptr ? kDefault : static_cast<std::uint16_t>(std::stoul(chosen->group));
  }

  // Whether the kernel must judge the PUBLISH if the stream has no gaps.
  static bool is_for_the_kernel(const ReadPublish& publish) {
    return publish.state == TopicState::kGood && publish.topic.size() <= MAX_TOPIC &&
           !(publish.text.empty() && publish.alias > MAX_ALIAS);
  }

  // The changes of topic that the ring buffer must contain.
  static std::vector<Judged> changes(const std::vector<ReadPublish>& publishes) {
    std::vector<Judged> out;
    for (const ReadPublish& publish : publishes)
      if (is_for_the_kernel(publish) && (out.empty() || out.back().topic != publish.topic))
        out.push_back({publish.topic, group_of(publish.topic)});
    return out;
  }

  // The topics that the kernel leaves to the daemon.
  static std::vector<std::string> long_topics(const std::vector<ReadPublish>& publishes) {
    std::vector<std::string> out;
    for (const ReadPublish& publish : publishes)
      if (publish.text.size() > MAX_TOPIC) out.push_back(publish.text);
    return out;
  }

  // Everything that was judged was published, in this order, and has the group of its topic.
  static void expect_some_of(const std::vector<Judged>& judged,
                             const std::vector<ReadPublish>& publishes) {
    auto next = publishes.begin();
    for (const Judged& one : judged) {
      next = std::find_if(next, publishes.end(), [&](const ReadPublish& publish) {
        return publish.state == TopicState::kGood && publish.topic == one.topic;
      });
      ASSERT_NE(next, publishes.end()) << "not published then: " << testing::PrintToString(one);
      EXPECT_EQ(one.group, group_of(one.topic)) << testing::PrintToString(one);
      next++;
    }
  }

  // The handshake of an unknown client, over IPv4 and IPv6 in turn. Its stream begins at
  // isn() + 1.
  Client open(std::mt19937& random) {
    clients_++;
    const Peer& first = clients_ % 2 == 0 ? kClient : kClient6;
    const auto port = static_cast<std::uint16_t>(1024 + random() % 60'000);
    Client client({first.address + clients_, port}, clients_ % 2 == 0 ? kService : kService6,
                  static_cast<std::uint32_t>(random()));
    send(client.syn());
    send(client.ack());
    judged_.clear();
    left_.clear();
    return client;
  }

  Outcome send_piece(const Client& client, const Piece& piece) {
    Outcome outcome = send(client.at(piece.seq - client.isn() - 1, piece.bytes));
    for (const Event& event : events()) take(client, event);
    return outcome;
  }

  // Expects that it goes to the broker of the flow, in the default group.
  void deliver(const Client& client, const Piece& piece) {
    const Outcome outcome = send_piece(client, piece);
    ASSERT_TRUE(outcome.forwarded());
    ASSERT_EQ(outcome.group(), kDefault);
  }

  // Number of dropped segments that the client must send again.
  std::uint64_t withheld() const {
    return counter(COUNT_WITHHELD) + counter(COUNT_EARLY_REFUSED) + counter(COUNT_DOUBTED);
  }

  // Like deliver(), but the segment may be withheld.
  void deliver_or_withhold(const Client& client, const Piece& piece, Path& path) {
    const std::uint64_t before = withheld();
    const Outcome outcome = send_piece(client, piece);
    if (!outcome.dropped()) {
      ASSERT_TRUE(outcome.forwarded());
      ASSERT_EQ(outcome.group(), kDefault);
      path.cut(end_of(client, piece, outcome));
    } else {
      ASSERT_EQ(withheld(), before + 1);
      path.dropped();
    }
  }

  // The end of the forwarded part in the stream; the rest of the piece may have been cut off.
  static std::size_t end_of(const Client& client, const Piece& piece, const Outcome& outcome) {
    return piece.seq - client.isn() - 1 + outcome.packet.inner().payload().size();
  }

  // Makes a gap look old once the client is far enough beyond it.
  void lose_patience(const Client& client, const Piece& latest) {
    const auto flow_then = flow_of(client);
    if (!flow_then || (flow_then->flags & FLOW_EARLY) == 0) return;
    if (static_cast<std::int32_t>(latest.seq - flow_then->edge) < 5000) return;
    flow later = *flow_then;
    later.gap_began -= GAP_PATIENCE + 1;
    chain_->flows().put(key_of(client), later);
  }

  void deliver_all(const Client& client, Path path) {
    while (const std::optional<Piece> piece = path.next())
      deliver_or_withhold(client, *piece, path);
  }

  // PUBLISHes that were judged, including those with an unchanged topic.
  std::uint64_t judged_publishes() const {
    return counter(COUNT_PUBLISH) - counter(COUNT_TOPIC_ALIAS) - counter(COUNT_TOPIC_LOST) -
           counter(COUNT_TOPIC_LEFT) - counter(COUNT_TOPIC_INVALID);
  }

  const std::vector<Judged>& judged() const { return judged_; }
  // The topics whose pieces were sent to the daemon.
  const std::vector<std::string>& left() const { return left_; }

  void forget(const Client& client) {
    chain_->flows().erase(key_of(client));
    for (std::uint16_t alias = 0; alias <= kMostAliases; alias++)
      chain_->map<topic_key, topic_text>("topics").remove({key_of(client), alias, 0});
  }

 private:
  void take(const Client& client, const Event& event) {
    EXPECT_EQ(event.head.flow.port, htobe16(client.self().port));
    EXPECT_EQ(event.head.from_group, kDefault);
    if (event.head.action == ACTION_PIECE) {
      take_piece(event);
    } else {
      judged_.push_back({event.topic(), event.head.to_group});
    }
  }

  // Pieces overlap if their segments do.
  void take_piece(const Event& event) {
    if (left_.empty() || event.head.seq != left_seq_) left_.emplace_back();
    left_seq_ = event.head.seq;
    std::string& topic = left_.back();
    ASSERT_LE(event.head.topic_offset, topic.size());
    const std::size_t known = std::min(topic.size() - event.head.topic_offset, event.data.size());
    EXPECT_EQ(topic.substr(event.head.topic_offset, known), event.data.substr(0, known));
    topic += event.data.substr(known);
    EXPECT_LE(topic.size(), event.head.topic_len);
  }

  std::uint32_t clients_ = 0;
  std::vector<Judged> judged_;
  std::vector<std::string> left_;
  std::uint32_t left_seq_ = 0;  // of the last one's first byte
};

TEST_F(PropertyTest, InOrderAllIsJudgedAsRead) {
  const auto [first, rounds] = seeds(60);
  for (std::uint32_t seed = first; seed < first + rounds && !HasFailure(); seed++) {
    SCOPED_TRACE(again(seed));
    std::mt19937 random(seed);
    const Session session = random_session({.topics = often(), .mistakes = 0.05}, random);
    const auto read = read_session(session.stream).publishes;
    const Client client = open(random);
    const std::uint64_t seen = counter(COUNT_PUBLISH), well = judged_publishes();

    for (const Piece& piece :
         in_order(session.stream, client.isn() + 1, 1 + random() % kMss, random))
      deliver(client, piece);

    EXPECT_EQ(judged(), changes(read));
    EXPECT_EQ(left(), long_topics(read));
    EXPECT_EQ(counter(COUNT_PUBLISH) - seen, read.size());
    EXPECT_EQ(judged_publishes() - well,
              std::count_if(read.begin(), read.end(), is_for_the_kernel));
    forget(client);
  }
  EXPECT_EQ(counter(COUNT_BLIND) + counter(COUNT_MALFORMED) + counter(COUNT_EARLY), 0u);
  EXPECT_EQ(counter(COUNT_EVENT_LOST), 0u);
}

TEST_F(PropertyTest, EveryCutOfThreePublishesInEveryOrderIsJudgedAsRead) {
  const std::vector<std::vector<std::size_t>> orders = {
      {0, 1, 2}, {0, 2, 1},          {1, 0, 2},       {1, 2, 0},          {2, 0, 1},
      {2, 1, 0}, {0, 0, 1, 1, 2, 2}, {0, 1, 0, 1, 2}, {2, 2, 1, 1, 0, 0}, {1, 0, 1, 2, 0}};
  const Session session = three_publishes();
  const auto read = read_session(session.stream).publishes;
  std::mt19937 random(1);
  for (std::size_t one = session.connect_length + 1; one < session.stream.size(); one++) {
    for (std::size_t two = one + 1; two < session.stream.size(); two++) {
      for (const auto& order : orders) {
        SCOPED_TRACE(testing::Message() << "cut at " << one << " and " << two << ", order "
                                        << testing::PrintToString(order));
        const Client client = open(random);
        const auto pieces =
            cut(session.stream, client.isn() + 1, {session.connect_length, one, two});

        deliver(client, pieces[0]);
        for (const std::size_t piece : order) deliver(client, pieces[piece + 1]);

        ASSERT_EQ(judged(), changes(read));
        forget(client);
      }
    }
  }
  EXPECT_EQ(counter(COUNT_BLIND), 0u);
}

TEST_F(PropertyTest, NothingBehindMalformedBytesIsJudged) {
  const Bytes malformed[] = {
      {0x00, 0x00},
      {0x30, 0xff, 0xff, 0xff, 0xff, 0x01},
      {0x30, 0x01, 0x00},
      {0x30, 0x08, 0x00, 0x07, 'd', 'e', 'c', 'o', 'y', '/'},
      {0x36, 0x0a, 0x00, 0x06, 'd', 'e', 'c', 'o', 'y', '/', 0x00, 0x01},
      connect_packet(MqttVersion::k5),
  };
  const auto [first, rounds] = seeds(60);
  for (std::uint32_t seed = first; seed < first + rounds && !HasFailure(); seed++) {
    SCOPED_TRACE(again(seed));
    std::mt19937 random(seed);
    const Session session =
        random_session({.longest_message = 3000, .topics = often(), .mistakes = 0.05}, random);
    if (session.publishes.empty()) continue;
    const std::size_t end = session.publishes[random() % session.publishes.size()].offset;
    Bytes stream = session.stream;
    stream.resize(end);
    stream = stream + malformed[random() % std::size(malformed)];
    for (int i = 0; i < 20; i++) stream = stream + publish_packet(kDecoy);
    const SessionReading reading = read_session(stream);
    ASSERT_EQ(reading.malformed_at, end);
    const Client client = open(random);
    const std::uint64_t streams = counter(COUNT_MALFORMED);

    for (const Piece& piece : in_order(stream, client.isn() + 1, 1 + random() % kMss, random))
      deliver(client, piece);

    EXPECT_EQ(judged(), changes(reading.publishes));
    EXPECT_EQ(counter(COUNT_MALFORMED), streams + 1);
    forget(client);
  }
}

// The most important property: losses that TCP repairs do not change what is judged.
TEST_F(PropertyTest, AtOnePercentLossAndReorderingAllIsJudgedAsRead) {
  const auto [first, rounds] = seeds(40);
  std::size_t all = 0, well = 0;
  for (std::uint32_t seed = first; seed < first + rounds && !HasFailure(); seed++) {
    SCOPED_TRACE(again(seed));
    std::mt19937 random(seed);
    const Session session = random_session(
        {.packets = 100, .longest_topic = MAX_TOPIC, .topics = often(), .mistakes = 0.05}, random);
    const auto read = read_session(session.stream).publishes;
    const Client client = open(random);
    const PathOptions options{.mss = 500 + random() % (kMss - 500),
                              .loss = 0.01,
                              .reordering = 0.01,
                              .window = 4 + random() % 100,
                              .alone = random() % 2 ? session.connect_length : 0};
    const std::uint64_t before = judged_publishes();

    deliver_all(client, Path(session.stream, client.isn() + 1, options, random));

    all += static_cast<std::size_t>(std::count_if(read.begin(), read.end(), is_for_the_kernel));
    well += judged_publishes() - before;
    expect_some_of(judged(), read);
    forget(client);
  }
  RecordProperty("publishes", std::to_string(all));
  RecordProperty("judged", std::to_string(well));
  EXPECT_GE(well, all * 99 / 100) << "of " << all;
}

// TCP in any implementation: senders that do not keep boundaries repeat as much as fits.
TEST_F(PropertyTest, OnABadPathAllIsJudgedAsRead) {
  const auto [first, rounds] = seeds(40);
  for (std::uint32_t seed = first; seed < first + rounds && !HasFailure(); seed++) {
    SCOPED_TRACE(again(seed));
    std::mt19937 random(seed);
    const Session session = random_session({.topics = often(), .mistakes = 0.05}, random);
    const auto read = read_session(session.stream).publishes;
    const Client client = open(random);
    const PathOptions options{.mss = 100 + random() % (kMss - 100),
                              .loss = 0.05,
                              .loss_behind = 0.05,
                              .reordering = 0.05,
                              .duplication = 0.05,
                              .other_boundaries = true,
                              .window = 4 + random() % 100,
                              .alone = random() % 2 ? session.connect_length : 0};

    deliver_all(client, Path(session.stream, client.isn() + 1, options, random));

    EXPECT_EQ(judged(), changes(read));
    EXPECT_EQ(left(), long_topics(read));
    EXPECT_EQ(flow_of(client)->flags & FLOW_EARLY, 0);
    forget(client);
  }
  EXPECT_EQ(counter(COUNT_BLIND) + counter(COUNT_TOPIC_LOST) + counter(COUNT_EVENT_LOST), 0u);
}

// A blind sender sends in the client's name all the time, near the next byte that the LB expects.
TEST_F(PropertyTest, WithABlindSenderAllIsJudgedAsRead) {
  const auto [first, rounds] = seeds(20);
  for (std::uint32_t seed = first; seed < first + rounds && !HasFailure(); seed++) {
    SCOPED_TRACE(again(seed));
    std::mt19937 random(seed);
    const Session session =
        random_session({.longest_message = 20'000, .topics = often(), .mistakes = 0.05}, random);
    const auto read = read_session(session.stream).publishes;
    const Client client = open(random);
    const PathOptions options{.mss = 100 + random() % (kMss - 100),
                              .loss = 0.02,
                              .loss_behind = 0.02,
                              .reordering = 0.02,
                              .other_boundaries = true,
                              .window = 4 + random() % 40,
                              .alone = session.connect_length};
    BlindSender sender(client, kDecoy, random);

    Path path(session.stream, client.isn() + 1, options, random);
    while (const std::optional<Piece> piece = path.next()) {
      if (const auto flow_then = flow_of(client)) {
        send(sender.any_near(flow_then->edge, 50'000));
        send(sender.repetition(flow_then->edge));
      }
      deliver_or_withhold(client, *piece, path);
    }

    EXPECT_EQ(judged(), changes(read));
    EXPECT_EQ(flow_of(client)->state, FLOW_ESTABLISHED);
    forget(client);
  }
  EXPECT_EQ(counter(COUNT_BLIND), 0u);
  EXPECT_GT(counter(COUNT_DOUBTED), 0u);
}

// The stream continues although the LB never sees some of it. The windows of early segments are
// small, so that streams soon become blind, and recover.
TEST_F(PropertyTest, WithHolesNothingIsJudgedWrongly) {
  const auto [first, rounds] = seeds(30);
  for (std::uint32_t seed = first; seed < first + rounds && !HasFailure(); seed++) {
    SCOPED_TRACE(again(seed));
    std::mt19937 random(seed);
    const Session session = random_session({.packets = 300,
                                            .longest_message = 1000,
                                            .longest_topic = 40,
                                            .topics = often(),
                                            .mistakes = 0.02},
                                           random);
    const auto read = read_session(session.stream).publishes;
    const Client client = open(random);
    PathOptions options{.mss = 50 + random() % 400,
                        .loss = 0.01,
                        .loss_behind = 0.01,
                        .reordering = 0.01,
                        .duplication = 0.01,
                        .bypass = 0.01,
                        .other_boundaries = true,
                        .window = 4 + random() % 40};
    if (seed % 4 > 0) options.writes = packet_ends(session.stream);

    Path path(session.stream, client.isn() + 1, options, random);
    while (const std::optional<Piece> piece = path.next()) {
      deliver_or_withhold(client, *piece, path);
      lose_patience(client, *piece);
    }

    expect_some_of(judged(), read);
    forget(client);
  }
  EXPECT_TRUE(rounds < 30 || counter(COUNT_RESYNCED) > 0);
}

// With the policy `reset` the broker of a wrong group never gets all bytes that decide about a
// PUBLISH, whatever the network does.
TEST_F(PropertyTest, NoBrokerOfAWrongGroupCanReadAPublish) {
  set_policy(POLICY_RESET);
  settings_.resets_per_second = ~0u;
  write(settings_);
  const auto [first, rounds] = seeds(150);
  for (std::uint32_t seed = first; seed < first + rounds && !HasFailure(); seed++) {
    SCOPED_TRACE(again(seed));
    std::mt19937 random(seed);
    const Session session = random_session({.longest_message = 20'000,
                                            .longest_topic = MAX_TOPIC,
                                            .topics = often(),
                                            .mistakes = 0.05},
                                           random);
    const auto read = read_session(session.stream).publishes;
    const auto wrong = std::find_if(read.begin(), read.end(), [](const ReadPublish& publish) {
      return is_for_the_kernel(publish) && group_of(publish.topic) != kDefault;
    });
    const Client client = open(random);
    const PathOptions options{.mss = 1 + random() % kMss,
                              .loss = 0.03,
                              .loss_behind = 0.03,
                              .reordering = 0.03,
                              .duplication = 0.03,
                              .other_boundaries = true,
                              .window = 4 + random() % 60,
                              .alone = random() % 2 ? session.connect_length : 0};
    Path path(session.stream, client.isn() + 1, options, random);

    std::optional<Outcome> end;
    Prefix forwarded(session.stream.size());
    while (const std::optional<Piece> piece = path.next()) {
      const std::uint64_t before = withheld();
      Outcome outcome = send_piece(client, *piece);
      if (outcome.dropped()) {
        ASSERT_EQ(withheld(), before + 1);
        path.dropped();
        continue;
      }
      if (!outcome.forwarded()) {
        end = std::move(outcome);
        break;
      }
      const std::size_t cut_at = end_of(client, *piece, outcome);
      forwarded.add(piece->seq - client.isn() - 1, cut_at - (piece->seq - client.isn() - 1));
      path.cut(cut_at);
    }

    ASSERT_EQ(end.has_value(), wrong != read.end());
    if (end) {
      EXPECT_TRUE(end->is_marked());
      EXPECT_EQ(end->mark().to_group, group_of(wrong->topic));
      EXPECT_EQ(prediction_of(client.self())->topic_hash, hash(wrong->topic));
      EXPECT_LT(forwarded.size(), wrong->decided_at);
    }
    forget(client);
  }
}

}  // namespace
}  // namespace remora
