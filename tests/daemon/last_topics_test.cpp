// SPDX-License-Identifier: Apache-2.0
#include "daemon/events/last_topics.h"

#include <gtest/gtest.h>

#include <string>

namespace remora {
namespace {

client_key client(const std::string& address, std::uint16_t service = 0) {
  return {Address::parse(address)->abi(), service, 0};
}

TEST(LastTopicsTest, OnlyAnotherTopicIsNews) {
  LastTopics last;

  EXPECT_TRUE(last.is_news(client("10.1.1.7"), "a"));
  EXPECT_FALSE(last.is_news(client("10.1.1.7"), "a"));
  EXPECT_TRUE(last.is_news(client("10.1.1.7"), "b"));
  EXPECT_FALSE(last.is_news(client("10.1.1.7"), "b"));
  EXPECT_TRUE(last.is_news(client("10.1.1.7"), "a")) << "it is back";
}

TEST(LastTopicsTest, ClientsAndServicesAreToldApart) {
  LastTopics last;
  last.is_news(client("10.1.1.7"), "a");

  EXPECT_TRUE(last.is_news(client("10.1.1.8"), "a"));
  EXPECT_TRUE(last.is_news(client("fc00:1::7"), "a"));
  EXPECT_TRUE(last.is_news(client("10.1.1.7", 1), "a"));
  EXPECT_FALSE(last.is_news(client("10.1.1.7"), "a"));
}

TEST(LastTopicsTest, TheClientWhoseTopicChangedLongestAgoMakesRoom) {
  LastTopics last(2);
  last.is_news(client("10.1.1.1"), "a");
  last.is_news(client("10.1.1.2"), "a");
  last.is_news(client("10.1.1.1"), "b");

  EXPECT_TRUE(last.is_news(client("10.1.1.3"), "a"));

  EXPECT_FALSE(last.is_news(client("10.1.1.1"), "b"));
  EXPECT_TRUE(last.is_news(client("10.1.1.2"), "a")) << "it had made room";
}

}  // namespace
}  // namespace remora
