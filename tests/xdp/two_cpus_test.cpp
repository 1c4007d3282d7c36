// SPDX-License-Identifier: Apache-2.0
//
// The table of clients while the stage runs on two CPUs and the daemon merges lessons, against a
// plain model: a million operations.
#include <sched.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <stop_token>
#include <string>
#include <thread>

#include "bpf/lesson.h"
#include "daemon/base/clock.h"
#include "tests/support/seeds.h"
#include "tests/xdp/steer_fixture.h"

namespace remora {
namespace {

constexpr int kPackets = 350'000;  // on each CPU
constexpr int kMerged = 300'000;   // by the daemon
constexpr std::uint32_t kClients = 24;
constexpr std::uint32_t kTopics = 4;  // of each client; even ones and odd ones have a group each
constexpr std::size_t kMergedAtOnce = 50;

Peer client(std::uint32_t number, std::uint16_t port = 40'000) {
  return {ipv4("10.9.0.0") + number, port};
}

std::string topic(std::uint32_t client, std::uint32_t number) {
  return "plant/" + std::to_string(client) + (number % 2 == 0 ? "/even/" : "/odd/") +
         std::to_string(number);
}

std::uint16_t group_of(std::uint32_t topic) {
  return topic % 2 == 0 ? kTemperature : kHumidity;
}

// One CPU's clients: each opens its connection, publishes, closes it, and opens it again.
class Traffic {
 public:
  Traffic(int root_fd, std::vector<std::uint32_t> clients, std::uint16_t port, std::uint32_t seed)
      : root_fd_(root_fd), port_(port), random_(seed) {
    for (const std::uint32_t number : clients) known_.push_back({number, Client({}, {}), {}, {}});
  }

  struct Known {
    std::uint32_t number;
    Client connection;
    bool is_open = false;
    std::optional<std::uint32_t> topic;  // its last one
  };
  const std::vector<Known>& known() const { return known_; }

  void run(int cpu, int packets) {
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(static_cast<std::size_t>(cpu), &only);
    if (sched_setaffinity(0, sizeof only, &only) != 0)
      throw std::system_error(errno, std::generic_category(), "stay on a CPU");
    while (sent_ < packets) step(known_[random_() % known_.size()]);
  }

 private:
  void send(const Segment& segment) {
    run_xdp(root_fd_, segment.frame());
    ++sent_;
  }

  void step(Known& one) {
    if (!one.is_open) {
      one.connection =
          Client(client(one.number, port_), kService, static_cast<std::uint32_t>(random_()));
      send(one.connection.syn());
      send(one.connection.send(connect_packet()));
      one.is_open = true;
    } else if (random_() % 8 == 0) {
      send(one.connection.fin());
      one.is_open = false;
    } else {
      one.topic = static_cast<std::uint32_t>(random_() % kTopics);
      send(one.connection.send(publish_packet(topic(one.number, *one.topic), "21.5")));
    }
  }

  int root_fd_;
  std::uint16_t port_;
  std::mt19937 random_;
  std::vector<Known> known_;
  int sent_ = 0;
};

class TwoCpusTest : public SteerTest {
 protected:
  TwoCpusTest() : TwoCpusTest(4 * kClients) {}
  explicit TwoCpusTest(std::uint32_t room) : SteerTest({.flows = 1024, .clients = room}) {}

  void SetUp() override {
    SteerTest::SetUp();
    if (IsSkipped()) return;
    route("plant/+/even/+", kTemperature);
    route("plant/+/odd/+", kHumidity);
    // Connections stay whatever they publish.
    for (const std::uint16_t number : {kDefault, kTemperature, kHumidity})
      group(number, 1, POLICY_KEEP);
    for (std::uint32_t number = 0; number < kClients; ++number)
      for (std::uint32_t i = 0; i < kTopics; ++i)
        meaning_[hash(topic(number, i))] = {number, group_of(i)};
  }

  // Both at once, while this thread merges lessons for `daemons` and reads what is there. Returns
  // the lesson that each of them must have in the end.
  std::map<std::uint32_t, prediction> run(std::array<Traffic, 2>& traffic,
                                          const std::vector<std::uint32_t>& daemons,
                                          std::uint32_t seed) {
    const int cpus = static_cast<int>(std::thread::hardware_concurrency());
    std::jthread one([&] { traffic[0].run(0, kPackets); });
    std::jthread other([&] { traffic[1].run(cpus > 1 ? 1 : 0, kPackets); });
    return merge(daemons, seed);
  }

  // Whether all words of each entry are of one client, and of one lesson.
  void expect_whole() {
    chain_->clients().for_each([&](const struct client& entry, std::uint16_t) {
      if (entry.group == NO_GROUP || entry.topic_hash == 0) return;
      const auto known = meaning_.find(entry.topic_hash);
      ASSERT_NE(known, meaning_.end());
      EXPECT_EQ(abi_address(client(known->second.client).address).word[3], entry.address.word[3]);
      EXPECT_EQ(entry.group, known->second.group);
    });
  }

  std::uint32_t now() const { return lesson_clock(settings_.lesson_clock_ns, monotonic_ns()); }

 private:
  struct Meaning {
    std::uint32_t client;
    std::uint16_t group;
  };

  std::map<std::uint32_t, prediction> merge(const std::vector<std::uint32_t>& daemons,
                                            std::uint32_t seed) {
    const ClientTable table = chain_->clients();
    std::map<std::uint32_t, prediction> last;
    std::mt19937 random(seed);
    std::vector<ClientLesson> lessons(kMergedAtOnce);
    for (int merged = 0; merged < kMerged; merged += static_cast<int>(lessons.size())) {
      for (ClientLesson& lesson : lessons) {
        const std::uint32_t number = daemons[random() % daemons.size()];
        const auto which = static_cast<std::uint32_t>(random() % kTopics);
        lesson = {.client = {abi_address(client(number).address), kServiceNumber, 0},
                  .kind = 0,
                  .lesson = {.topic_hash = hash(topic(number, which)),
                             .time = now() - 1000 + static_cast<std::uint32_t>(random() % 2000),
                             .group = group_of(which),
                             .flags = PREDICTION_TOLD},
                  .outcome = {}};
        const auto [known, is_new] = last.emplace(number, lesson.lesson);
        if (is_new) continue;
        const prediction before = known->second;
        weigh_lesson(&before, &lesson.lesson, lesson.kind, &known->second);
      }
      table.merge(lessons, now());
      expect_whole();
      if (HasFailure()) break;
    }
    return last;
  }

  std::map<std::uint64_t, Meaning> meaning_;  // of topic hashes
};

// Few sets hold all clients, but each client has one writer: so all is known to the last bit.
TEST_F(TwoCpusTest, NeighboursInASetLoseNothing) {
  const auto [first, rounds] = seeds(1);
  for (std::uint32_t seed = first; seed < first + rounds; ++seed) {
    SCOPED_TRACE(again(seed));
    std::array<std::vector<std::uint32_t>, 3> owned;
    for (std::uint32_t number = 0; number < kClients; ++number) owned[number % 3].push_back(number);
    for (const auto& numbers : {owned[0], owned[1]})
      for (const std::uint32_t number : numbers) predict(client(number), kTemperature);
    const auto port = static_cast<std::uint16_t>(40'000 + 2 * (seed - first));
    std::array<Traffic, 2> traffic{
        Traffic(chain_->root_fd(), owned[0], port, seed),
        Traffic(chain_->root_fd(), owned[1], static_cast<std::uint16_t>(port + 1), seed + 1)};

    const std::map<std::uint32_t, prediction> merged = run(traffic, owned[2], seed);

    for (const Traffic& each : traffic) {
      for (const Traffic::Known& one : each.known()) {
        const auto found = counts_of(client(one.number));
        ASSERT_TRUE(found) << one.number;
        EXPECT_EQ(found->connections, one.is_open ? 1u : 0u) << one.number;
        ASSERT_TRUE(one.topic);
        EXPECT_EQ(found->topic_hash, hash(topic(one.number, *one.topic))) << one.number;
        EXPECT_EQ(found->group, group_of(*one.topic)) << one.number;
      }
    }
    for (const auto& [number, lesson] : merged) {
      const auto found = prediction_of(client(number));
      ASSERT_TRUE(found) << number;
      EXPECT_EQ(found->topic_hash, lesson.topic_hash) << number;
      EXPECT_EQ(found->time, lesson.time) << number;
    }
  }
}

// Three writers for each client, in a table with room for two thirds of them: what stays depends
// on who is last, but no entry is a mixture.
class CrowdedTest : public TwoCpusTest {
 protected:
  CrowdedTest() : TwoCpusTest(14) {}
};

TEST_F(CrowdedTest, NoEntryMixesTwoClientsOrTwoLessons) {
  const auto [first, rounds] = seeds(1);
  for (std::uint32_t seed = first; seed < first + rounds; ++seed) {
    SCOPED_TRACE(again(seed));
    std::vector<std::uint32_t> all(kClients);
    for (std::uint32_t number = 0; number < kClients; ++number) all[number] = number;
    std::array<Traffic, 2> traffic{Traffic(chain_->root_fd(), all, 40'000, seed),
                                   Traffic(chain_->root_fd(), all, 40'001, seed + 1)};

    run(traffic, all, seed);

    expect_whole();
    EXPECT_GT(counter(COUNT_LEARNED), 0u);
  }
}

}  // namespace
}  // namespace remora
