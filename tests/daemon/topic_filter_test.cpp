// SPDX-License-Identifier: Apache-2.0
#include "daemon/mqtt/topic_filter.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

using std::string_view_literals::operator""sv;

TEST(TopicFilterTest, AcceptsWhatTheStandardAllows) {
  const std::string_view cases[] = {
      "#",
      "+",
      "/",
      "/#",
      "//",
      "a",
      "a/#",
      "+/#",
      "/+",
      "+/+",
      "+/a/#",
      "sport/+/player1",
      "a//b",
      "a b",
      "$SYS/#",
      "température",
      "\xf0\x9f\xa6\x88/#",
      "$share/x/y",
  };
  for (const std::string_view filter : cases)
    EXPECT_EQ(filter_problem(filter), std::nullopt) << filter;
  EXPECT_EQ(filter_problem(std::string(65535, 'a')), std::nullopt);
}

TEST(TopicFilterTest, SaysWhyAnotherIsInvalid) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", "empty"},
      {"a/#/b", "last level"},
      {"#/", "last level"},
      {"a#", "whole level"},
      {"a/b#", "whole level"},
      {"##", "whole level"},
      {"#+", "whole level"},
      {"a+", "whole level"},
      {"+a/b", "whole level"},
      {"a/++", "whole level"},
      {"a\0b"sv, "U+0000"},
      {"a/\xff", "UTF-8"},
      {"a/\xc3", "UTF-8"},            // ends in the middle
      {"\xc0\x80", "UTF-8"},          // NUL in two bytes
      {"\xe0\x80\xaf", "UTF-8"},      // a slash in three
      {"\xed\xa0\x80", "UTF-8"},      // a surrogate
      {"\xf4\x90\x80\x80", "UTF-8"},  // above U+10FFFF
      {"\xf0\x80\x80\xaf", "UTF-8"},
      {"\x80", "UTF-8"},
      {"\xc3(", "UTF-8"},
  };
  for (const auto& [filter, words] : cases) {
    const auto problem = filter_problem(filter);
    ASSERT_TRUE(problem) << filter;
    EXPECT_NE(problem->find(words), std::string::npos) << filter << ": " << *problem;
  }
  EXPECT_NE(filter_problem(std::string(65536, 'a'))->find("65536 bytes"), std::string::npos);
}

TEST(TopicFilterTest, ATopicNameHasNoWildcards) {
  EXPECT_EQ(topic_problem("sport/tennis"), std::nullopt);
  EXPECT_EQ(topic_problem("/"), std::nullopt);
  for (const std::string_view topic : {""sv, "#"sv, "a/+"sv, "a+"sv, "a\0"sv, "\xff"sv})
    EXPECT_TRUE(topic_problem(topic)) << topic;
}

TEST(TopicFilterTest, KnowsAWildcard) {
  for (const std::string_view filter : {"#", "+", "a/#", "a/+/b", "+/a"})
    EXPECT_TRUE(has_wildcard(filter)) << filter;
  for (const std::string_view filter : {"a", "/", "a/b"})
    EXPECT_FALSE(has_wildcard(filter)) << filter;
}

// Level by level from the left: a name, `+`, `#`.
TEST(TopicFilterTest, OneOfTwoFiltersIsMoreSpecific) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"a", "+"},     {"+", "#"},          {"a", "#"},       {"a", "a/#"},
      {"a/b", "a/+"}, {"a/+", "a/#"},      {"a/#", "+/b"},   {"a/+/+", "+/b/c"},
      {"a/#", "#"},   {"a/b/#", "a/+/c"},  {"a/b/#", "a/#"}, {"+/+", "+/+/#"},
      {"/#", "+/#"},  {"a/+/c/#", "a/+/#"}};
  for (const auto& [first, second] : cases) {
    EXPECT_TRUE(is_more_specific(first, second)) << first << " and " << second;
    EXPECT_FALSE(is_more_specific(second, first)) << first << " and " << second;
  }
  EXPECT_FALSE(is_more_specific("a/+", "b/+"));
  EXPECT_FALSE(is_more_specific("a", "a"));
}

// The examples of MQTT 5.0 §4.7, and what follows from them at the edges.
TEST(TopicFilterTest, MatchesAsTheStandardSays) {
  const struct {
    std::string_view filter;
    std::string_view topic;
    bool matches;
  } cases[] = {
      {"sport/tennis/player1/#", "sport/tennis/player1", true},
      {"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
      {"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
      {"sport/tennis/player1/#", "sport/tennis/player11", false},
      {"sport/tennis/player1/#", "sport/tennis", false},
      {"sport/#", "sport", true},
      {"sport/#", "sport/", true},
      {"sport/#", "sports", false},
      {"#", "a/b/c", true},
      {"#", "/", true},
      {"sport/tennis/+", "sport/tennis/player1", true},
      {"sport/tennis/+", "sport/tennis/player1/ranking", false},
      {"sport/+", "sport", false},
      {"sport/+", "sport/", true},
      {"+", "sport", true},
      {"+", "/finance", false},
      {"+/+", "/finance", true},
      {"/+", "/finance", true},
      {"+/tennis/#", "sport/tennis", true},
      {"+/tennis/#", "sport/tennis/x/y", true},
      {"+/+/#", "a", false},
      {"+/#", "a", true},
      {"sport/+/player1", "sport/tennis/player1", true},
      {"sport/+/player1", "sport//player1", true},
      {"sport/+/player1", "sport/a/b/player1", false},
      {"a", "a", true},
      {"a", "A", false},
      {"a", "/a", false},
      {"a", "a/", false},
      {"a/", "a", false},
      {"/", "/", true},
      {"/#", "/", true},
      {"/#", "/a/b", true},
      {"/#", "a", false},
      {"#", "$SYS/monitor", false},
      {"+/monitor/Clients", "$SYS/monitor/Clients", false},
      {"+/#", "$SYS/monitor", false},
      {"$SYS/#", "$SYS/monitor/Clients", true},
      {"$SYS/#", "$SYS", true},
      {"$SYS/monitor/+", "$SYS/monitor/Clients", true},
      {"a/+", "a/$SYS", true},
      {"a/#", "a/$SYS", true},
  };
  for (const auto& [filter, topic, matches] : cases) {
    ASSERT_EQ(filter_problem(filter), std::nullopt) << filter;
    EXPECT_EQ(filter_matches(filter, topic), matches) << filter << " and " << topic;
  }
}

}  // namespace
}  // namespace remora
