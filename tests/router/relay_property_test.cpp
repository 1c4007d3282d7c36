// SPDX-License-Identifier: Apache-2.0
//
// Random sessions through the engine, against a plain model: which messages each group must get,
// which answers the client must get, and in which order. Bytes move in pieces of random size and
// in random order; in some rounds brokers die or refuse. REMORA_SEED and REMORA_ROUNDS: seeds.h.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <set>

#include "tests/router/world.h"
#include "tests/support/seeds.h"

namespace remora {
namespace {

constexpr int kConnack = 2;
constexpr int kPingresp = 13;
constexpr std::size_t kGroups = 4;

struct Message {
  router::GroupId group;
  int qos;
  std::uint16_t id;
  std::string topic;
  std::string text;  // begins with its number, so that no two are the same
};

// The events of a round.
struct Plan {
  MqttVersion version;
  std::size_t messages;
  int highest_qos;
  bool waits_for_connack;
  bool is_patient;  // sends DISCONNECT when everything has been answered
  bool ends_with_disconnect;
  std::size_t deaths;
  bool drains;          // reals are drained while messages are under way
  int receive_maximum;  // of all brokers except home; 0: they send none
};

Plan random_plan(std::mt19937& random) {
  const MqttVersion versions[] = {MqttVersion::k31, MqttVersion::k311, MqttVersion::k5};
  Plan plan{.version = versions[random() % 3],
            .messages = 1 + random() % 40,
            .highest_qos = random() % 3 == 0 ? 0 : 2,
            .waits_for_connack = random() % 2 == 0,
            .is_patient = random() % 3 != 0,
            .ends_with_disconnect = random() % 3 != 0,
            .deaths = random() % 2 == 0 ? 0 : random() % 4,
            .drains = random() % 2 == 0,
            .receive_maximum = 0};
  if (plan.version == MqttVersion::k5 && plan.is_patient && random() % 2 == 0) {
    plan.receive_maximum = 1 + static_cast<int>(random() % 3);
    plan.waits_for_connack = true;
    plan.deaths = 0;  // so that the first session is the one that tells the client its limits
  }
  return plan;
}

// A client that follows MQTT, and records its messages.
class Client {
 public:
  Client(const Plan& plan, std::mt19937& random) : plan_(plan), random_(random) {
    out = connect_packet(plan.version);
  }

  // Reads the packets that have arrived since the last call.
  void read(const std::vector<PlainPacket>& received) {
    for (; seen_ < received.size(); ++seen_) {
      const PlainPacket& packet = received[seen_];
      const auto id = static_cast<std::uint16_t>(
          packet.body.size() < 2 ? 0 : packet.body[0] * 256 + packet.body[1]);
      if (packet.type == kConnack) has_connack = true;
      if (packet.type == kPingresp) ++pings_answered;
      if (packet.type == kPuback || packet.type == kPubrec) answered.push_back(id);
      if (packet.type == kPubrec) to_release_.push_back(id);
      if (packet.type == kPubcomp) completed.insert(id);
    }
  }

  // Writes its next packet, if it has one.
  void go_on() {
    if (!out.empty() || (plan_.waits_for_connack && !has_connack)) return;
    if (!to_release_.empty() && (random_() % 2 == 0 || messages.size() == plan_.messages)) {
      out = pubrel_packet(to_release_.front());
      to_release_.pop_front();
    } else if (messages.size() < plan_.messages) {
      if (random_() % 10 == 0) {
        out = pingreq_packet();
        ++pings;
      } else {
        publish();
      }
    } else if (plan_.ends_with_disconnect && !has_ended && (!plan_.is_patient || is_satisfied())) {
      out = disconnect_packet();
      has_ended = true;
    }
  }

  bool is_satisfied() const {
    std::size_t with_answer = 0, of_qos_2 = 0;
    for (const Message& message : messages) {
      with_answer += message.qos > 0 ? 1U : 0U;
      of_qos_2 += message.qos == 2 ? 1U : 0U;
    }
    return has_connack && answered.size() == with_answer && completed.size() == of_qos_2 &&
           pings_answered == pings;
  }
  bool has_sent_all() const { return messages.size() == plan_.messages && out.empty(); }

  Bytes out;  // not sent yet
  std::vector<Message> messages;
  std::vector<std::uint16_t> answered;
  std::set<std::uint16_t> completed;
  std::size_t pings = 0, pings_answered = 0;
  bool has_connack = false, has_ended = false;

 private:
  void publish() {
    Message message{};
    message.group = static_cast<router::GroupId>(random_() % kGroups);
    message.qos = std::min(static_cast<int>(random_() % 3), plan_.highest_qos);
    message.id = static_cast<std::uint16_t>(messages.size() + 1);
    message.topic = "g" + std::to_string(message.group) + "/" + std::to_string(random_() % 3);
    const std::size_t length = random_() % 20 == 0 ? 20'000 : random_() % 200;
    message.text = std::to_string(messages.size()) + "." + std::string(length, 'x');
    PublishOptions options{.qos = message.qos, .packet_id = message.id};
    std::string topic = message.topic;
    if (plan_.version == MqttVersion::k5) {
      options.properties = Bytes{};
      const auto alias = static_cast<std::uint8_t>(1 + message.group);
      if (has_connack && random_() % 2 == 0) {
        options.properties = Bytes{0x23, 0, alias};
        if (aliases_[alias] == topic)
          topic.clear();
        else
          aliases_[alias] = topic;
      }
    }
    out = publish_packet(topic, message.text, options);
    messages.push_back(message);
  }

  const Plan& plan_;
  std::mt19937& random_;
  std::size_t seen_ = 0;
  std::deque<std::uint16_t> to_release_;
  std::map<int, std::string> aliases_;
};

class Round {
 public:
  explicit Round(std::uint32_t seed)
      : random_(seed), plan_(random_plan(random_)), client_(plan_, random_) {
    world_.writes_at_once = false;
    world_.set_up = [this](router::GroupId, FakeBroker& broker) {
      Bytes properties{0x22, 0, 8};
      // The client learns only its home's limit, which is large enough.
      if (plan_.receive_maximum != 0 && world_.links.size() > 1) {
        properties = properties + Bytes{0x21, 0, static_cast<std::uint8_t>(plan_.receive_maximum)};
      }
      broker.connack_properties = properties;
    };
    world_.refuses = [this](const router::OpenSession&) {
      return plan_.deaths > 0 && random_() % 8 == 0;
    };
  }

  void play() {
    for (int step = 0; step < 5'000 && !is_done(); ++step) {
      switch (random_() % 5) {
        case 0:
          client_step();
          break;
        case 1:
          world_.write_to_client(size());
          break;
        case 2:
          if (random_() % 10 == 0) maybe_die();
          if (random_() % 10 == 0) maybe_leave();
          break;
        default:
          broker_step();
          break;
      }
      if (step % 50 == 0) world_.wait(router::Time(100));
    }
    while (!is_done() && !client_.has_ended) {
      world_.run();
      client_step();
      world_.wait(router::Time(10));
    }
    if (!plan_.ends_with_disconnect) world_.hang_up();
    for (int i = 0; i < 5; ++i) {
      world_.run();
      client_.read(world_.received());
      world_.wait(router::Time(1000));
    }
  }

  void check() const {
    check_answers();
    for (router::GroupId group = 0; group < kGroups; ++group) check_group(group);
    EXPECT_TRUE(world_.client_closed);
    for (const auto& [id, link] : world_.links) {
      EXPECT_TRUE(link.is_closed) << "session " << id;
      if (plan_.receive_maximum != 0 && id > 1) {
        EXPECT_LE(link.broker.most_in_flight, static_cast<std::size_t>(plan_.receive_maximum));
      }
    }
  }

 private:
  std::size_t size() { return random_() % 3 == 0 ? 100'000 : 1 + random_() % 300; }

  bool is_done() const {
    if (world_.client_closed) return true;
    return !plan_.ends_with_disconnect && client_.has_sent_all() &&
           (!plan_.is_patient || client_.is_satisfied());
  }

  void client_step() {
    if (world_.client_closed) return;
    client_.read(world_.received());
    Bytes bytes;
    for (std::size_t packets = 1 + random_() % 8; packets > 0; --packets) {
      client_.go_on();
      const auto count = static_cast<std::ptrdiff_t>(
          std::min({client_.out.size(), size(), world_.relay().client_room()}));
      bytes.insert(bytes.end(), client_.out.begin(), client_.out.begin() + count);
      client_.out.erase(client_.out.begin(), client_.out.begin() + count);
      if (!client_.out.empty()) break;
    }
    if (!bytes.empty()) world_.send(bytes);
  }

  void broker_step() {
    if (world_.links.empty()) return;
    auto place = world_.links.begin();
    std::advance(place, random_() % world_.links.size());
    if (random_() % 2 == 0)
      world_.write(place->first, size());
    else
      world_.answer(place->first, size());
  }

  void maybe_die() {
    if (died_ == plan_.deaths || world_.links.empty() || client_.has_ended) return;
    auto place = world_.links.begin();
    std::advance(place, random_() % world_.links.size());
    if (place->second.is_closed) return;
    world_.die(place->first);
    ++died_;
  }

  void maybe_leave() {
    if (!plan_.drains || world_.links.empty()) return;
    auto place = world_.links.begin();
    std::advance(place, random_() % world_.links.size());
    if (!place->second.is_closed) world_.leave(place->first);
  }

  void check_answers() const {
    const std::vector<int> types = world_.received_types();
    // A client that hangs up in a hurry may get no answer at all.
    if (plan_.is_patient || !types.empty()) {
      ASSERT_FALSE(types.empty());
      EXPECT_EQ(types[0], kConnack);
      EXPECT_EQ(std::ranges::count(types, kConnack), 1);
    }
    std::vector<std::uint16_t> ids;
    for (const Message& message : client_.messages) {
      if (message.qos > 0) ids.push_back(message.id);
    }
    if (plan_.is_patient) {
      EXPECT_EQ(client_.answered, ids);
      EXPECT_TRUE(client_.is_satisfied());
    } else {
      ASSERT_LE(client_.answered.size(), ids.size());
      EXPECT_TRUE(std::equal(client_.answered.begin(), client_.answered.end(), ids.begin()));
    }
  }

  void check_group(router::GroupId group) const {
    std::vector<std::string> got;  // in the order of their first arrival
    std::size_t repeated = 0, lost = 0;
    for (const auto& [id, link] : world_.links) {
      for (const PlainPublish& message : link.broker.messages) {
        EXPECT_EQ(group_of_topic(message.topic), link.asked.group);
        if (link.asked.group != group) continue;
        if (std::ranges::count(got, message.message) == 0) {
          got.push_back(message.message);
        } else {
          ++repeated;
          EXPECT_GT(message.qos, 0) << "QoS 0 twice";
        }
      }
    }
    std::vector<std::string> expected;
    for (const Message& message : client_.messages) {
      if (message.group != group) continue;
      if (std::ranges::count(got, message.text) != 0) {
        expected.push_back(message.text);
      } else {
        ++lost;
        EXPECT_EQ(message.qos, 0) << "lost: " << message.text.substr(0, 5);
      }
    }
    EXPECT_EQ(got, expected);
    // A broker that dies can have got the beginning of one message of QoS 0.
    EXPECT_LE(lost, died_);
    if (died_ == 0) EXPECT_EQ(repeated, 0U);
  }

  std::mt19937 random_;
  Plan plan_;
  Client client_;
  World world_;
  std::size_t died_ = 0;
};

TEST(RelayPropertyTest, EverythingArrivesOnceAndIsAnsweredInOrder) {
  const auto [first, rounds] = seeds(300);
  for (std::uint32_t seed = first; seed < first + rounds; ++seed) {
    SCOPED_TRACE(again(seed));
    Round round(seed);
    round.play();
    round.check();
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace remora
