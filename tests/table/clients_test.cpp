// SPDX-License-Identifier: Apache-2.0
//
// The table of clients: lessons and counts, against a plain model.
#include "bpf/clients.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/support/seeds.h"
#include "tests/table/table.h"

namespace remora {
namespace {

constexpr std::uint16_t kService = 3;
constexpr std::uint32_t kNow = 1'000'000;
constexpr std::uint32_t kNoLimit = 100;

address client_address(std::uint32_t number) {
  return {{0, 0, 0xffff0000u, number}};
}

class Clients {
 public:
  Clients(std::uint32_t sets, std::uint32_t seed) : random_(seed), table_(sets, random_) {}

  lesson_outcome teach(std::uint32_t client, std::uint64_t topic, std::uint16_t group,
                       std::uint32_t time, std::uint32_t kind = 0, std::uint32_t now = kNow) {
    table_key key = key_of(client);
    const auto [first, second] = table_.view().sets_of(key);
    client_lesson lesson{.lesson = {topic, time, group, 0},
                         .before = {},
                         .kind = kind,
                         .now = now,
                         .by = TABLE_DAEMON,
                         .words = {},
                         .next = {}};
    return static_cast<lesson_outcome>(merge_client_lesson(first, second, &key, &lesson));
  }
  std::uint32_t group(std::uint32_t client, std::uint32_t now = kNow) {
    table_key key = key_of(client);
    const auto [first, second] = table_.view().sets_of(key);
    client_words words{};
    return read_client(first, second, &key, &words, now) == TABLE_DONE ? words.client.group
                                                                       : NO_GROUP;
  }
  connection_outcome connect(std::uint32_t client, std::uint32_t limit = kNoLimit) {
    table_key key = key_of(client);
    const auto [first, second] = table_.view().sets_of(key);
    client_note note{.event = 0, .now = kNow, .most = limit, .pad = 0, .by = 0, .words = {}};
    return static_cast<connection_outcome>(count_connection(first, second, &key, &note));
  }
  void disconnect(std::uint32_t client) {
    table_key key = key_of(client);
    const auto [first, second] = table_.view().sets_of(key);
    client_note note{.event = 0, .now = kNow, .most = 0, .pad = 0, .by = TABLE_DAEMON, .words = {}};
    uncount_connection(first, second, &key, &note);
  }
  std::map<std::uint32_t, client> all() const {
    std::map<std::uint32_t, client> found;
    table_.view().for_each([&](const table_entry& entry, std::uint64_t claim) {
      const client_words words{.entry = entry};
      EXPECT_EQ(words.client.group != NO_GROUP, (claim & TABLE_RANK) != 0);
      EXPECT_TRUE(found.emplace(words.client.address.word[3], words.client).second) << "twice";
    });
    return found;
  }

 private:
  static table_key key_of(std::uint32_t number) {
    const address client = client_address(number);
    return client_table_key(&client, kService);
  }

  std::mt19937_64 random_;
  OwnTable table_;
};

TEST(ClientsTest, AClientGetsTheGroupOfItsLastLesson) {
  Clients clients(2, 1);
  EXPECT_EQ(clients.group(7), std::uint32_t{NO_GROUP});

  EXPECT_EQ(clients.teach(7, 11, 0, 0), LESSON_NEW);
  EXPECT_EQ(clients.group(7), 0u) << "all of the word is 0, and there";
  EXPECT_EQ(clients.teach(7, 12, 5, 100), LESSON_CHANGED);
  EXPECT_EQ(clients.teach(7, 13, 6, 50), LESSON_OLDER);

  EXPECT_EQ(clients.group(7), 5u);
  EXPECT_EQ(clients.teach(8, 12, 5, 100, LESSON_NO_NEW), LESSON_NO_CLIENT);
  EXPECT_EQ(clients.group(8), std::uint32_t{NO_GROUP});
}

TEST(ClientsTest, ConnectionsAreCountedUpToTheLimitAndLessonsLeaveThemAlone) {
  Clients clients(2, 1);

  EXPECT_EQ(clients.connect(7, 2), CONNECTION_COUNTED);
  EXPECT_EQ(clients.group(7), std::uint32_t{NO_GROUP}) << "it has no lesson";
  EXPECT_EQ(clients.teach(7, 12, 5, 100, LESSON_NO_NEW), LESSON_NO_CLIENT);
  EXPECT_EQ(clients.teach(7, 12, 5, 100), LESSON_NEW);
  EXPECT_EQ(clients.connect(7, 2), CONNECTION_COUNTED);
  EXPECT_EQ(clients.connect(7, 2), CONNECTION_OVER_LIMIT);

  EXPECT_EQ(clients.all().at(7).connections, 2u);
  EXPECT_EQ(clients.group(7), 5u);
  for (int i = 0; i < 3; ++i) clients.disconnect(7);
  EXPECT_EQ(clients.all().at(7).connections, 0u);
}

// Forged SYNs and CONNECTs from ten times as many addresses as the table has room for.
TEST(ClientsTest, ConnectionsOfOthersPushNoLessonOut) {
  constexpr std::uint32_t kClients = 5000;
  Clients clients(table_sets(kClients), 2);
  std::set<std::uint32_t> taught;
  for (std::uint32_t i = 0; i < kClients; ++i) clients.teach(i, 9, 4, kNow);
  for (const auto& [number, known] : clients.all()) taught.insert(number);
  ASSERT_GT(taught.size(), kClients * 99 / 100);

  std::uint32_t refused = 0;
  for (std::uint32_t i = 0; i < 10 * kClients; ++i)
    refused += clients.connect(1'000'000 + i) == CONNECTION_NO_ROOM ? 1 : 0;

  for (const std::uint32_t number : taught) ASSERT_EQ(clients.group(number), 4u);
  EXPECT_GT(refused, 0u) << "some find no room";
}

// The history brings clients in any order: the table keeps those that taught last.
TEST(ClientsTest, ALateLessonOfAnOldClientPushesNoYoungerOneOut) {
  Clients clients(2, 3);  // room for 16
  constexpr std::uint32_t kUnit = 1 << CLIENT_AGE_SHIFT;
  constexpr std::uint32_t kToday = 100 * kUnit;
  for (std::uint32_t i = 0; i < 40; ++i)
    clients.teach(i, 9, 4, kToday - (i % 20) * kUnit, 0, kToday);

  const auto left = clients.all();

  ASSERT_EQ(left.size(), 16u);
  for (const auto& [number, known] : left) EXPECT_LE(number % 20, 7u) << "client " << number;
}

// They come in the order in which they were seen, the last one first.
TEST(ClientsTest, AmongLessonsOfOneAgeTheFirstThatTheDaemonBringsStay) {
  Clients clients(2, 4);  // room for 16
  for (std::uint32_t i = 0; i < 40; ++i) clients.teach(i, 9, 4, kNow);

  for (std::uint32_t i = 0; i < 16; ++i) EXPECT_EQ(clients.group(i), 4u) << "client " << i;
}

TEST(ClientsPropertyTest, LessonsAndCountsAreThoseOfAPlainModel) {
  const auto [first, rounds] = seeds(40);
  for (std::uint32_t seed = first; seed < first + rounds; ++seed) {
    SCOPED_TRACE(again(seed));
    std::mt19937_64 random(seed);
    constexpr std::uint32_t kClients = 200;
    Clients clients(table_sets(4 * kClients), seed);
    struct Known {
      std::optional<prediction> lesson;
      std::uint16_t connections = 0;
    };
    std::map<std::uint32_t, Known> model;

    for (int step = 0; step < 5000; ++step) {
      const auto number = static_cast<std::uint32_t>(random() % kClients);
      switch (random() % 4) {
        case 0:
          EXPECT_EQ(clients.connect(number), model[number].connections < kNoLimit
                                                 ? CONNECTION_COUNTED
                                                 : CONNECTION_OVER_LIMIT);
          if (model[number].connections < kNoLimit) ++model[number].connections;
          break;
        case 1: {
          clients.disconnect(number);
          const auto known = model.find(number);
          if (known != model.end() && known->second.connections) --known->second.connections;
          break;
        }
        case 2: {
          const std::uint64_t topic = 1 + random() % 5;
          const auto group = static_cast<std::uint16_t>(topic % 3);
          const auto time = static_cast<std::uint32_t>(kNow - random() % 1000);
          const std::uint32_t kind = random() % 2 ? LESSON_NOW : 0;
          const prediction lesson{topic, time, group, 0};
          auto& known = model[number].lesson;
          prediction next = lesson;
          const lesson_outcome wanted =
              known ? weigh_lesson(&*known, &lesson, kind, &next) : LESSON_NEW;
          EXPECT_EQ(clients.teach(number, topic, group, time, kind), wanted);
          known = next;
          break;
        }
        default: {
          const auto known = model.find(number);
          EXPECT_EQ(clients.group(number), known != model.end() && known->second.lesson
                                               ? known->second.lesson->group
                                               : std::uint32_t{NO_GROUP});
        }
      }
    }

    const auto left = clients.all();
    ASSERT_EQ(left.size(), model.size());
    for (const auto& [number, known] : model) {
      const client& found = left.at(number);
      EXPECT_EQ(found.service, kService);
      EXPECT_EQ(found.connections, known.connections);
      EXPECT_EQ(found.group, known.lesson ? known.lesson->group : NO_GROUP);
      EXPECT_EQ(found.topic_hash, known.lesson ? known.lesson->topic_hash : 0);
      EXPECT_EQ(found.time, known.lesson ? known.lesson->time : 0);
    }
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace remora
