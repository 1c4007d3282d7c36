// SPDX-License-Identifier: Apache-2.0
//
// The route of a topic in user space, and the tables for the kernel, against expected values and
// a plain matcher. tests/xdp/learn_test.cpp asks the kernel the same questions.
#include "daemon/mqtt/route_table.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <stdexcept>
#include <string>

#include "daemon/mqtt/shapes.h"
#include "daemon/mqtt/topic_filter.h"
#include "tests/support/topics.h"

namespace remora {
namespace {

Route route(std::string filter, std::string group) {
  return {.filter = std::move(filter), .group = std::move(group), .line = 0};
}

RouteTable table_of(std::vector<Route> routes) {
  return RouteTable(std::move(routes), random_topic_keys(1));
}

std::string match(const RouteTable& table, std::string_view topic) {
  return std::string(table.match(topic).value_or("-"));
}

std::string levels(std::size_t count, std::string_view level) {
  std::string text(level);
  for (; count > 1; --count) text.append("/").append(level);
  return text;
}

TEST(RouteTableTest, TheMostSpecificRouteWins) {
  const RouteTable table =
      table_of({route("#", "all"), route("+/b", "plus"), route("a/#", "short"),
                route("a/b", "exact"), route("a/b/#", "long"), route("/#", "slash"),
                route("a/+/c", "middle"), route("+/b/c/#", "late"), route("a/+/c/#", "below")});

  EXPECT_EQ(match(table, "a/b"), "exact");
  EXPECT_EQ(match(table, "a/b/c"), "long");  // the second level decides
  EXPECT_EQ(match(table, "a/x/c"), "middle");
  EXPECT_EQ(match(table, "a/x/c/d"), "below");
  EXPECT_EQ(match(table, "a/bc"), "short");
  EXPECT_EQ(match(table, "a"), "short");  // the parent level, MQTT 5.0 §4.7.1.2
  EXPECT_EQ(match(table, "a/"), "short");
  EXPECT_EQ(match(table, "x/b"), "plus");
  EXPECT_EQ(match(table, "x/b/c"), "late");
  EXPECT_EQ(match(table, "x/b/c/d"), "late");
  EXPECT_EQ(match(table, "/x"), "slash");
  EXPECT_EQ(match(table, "ab"), "all");
  EXPECT_EQ(match(table, "$SYS/x"), "-");  // §4.7.2
  EXPECT_EQ(match(table, "$SYS/b"), "-");
}

TEST(RouteTableTest, WithoutARouteThereIsNoAnswer) {
  EXPECT_EQ(match(RouteTable(), "a"), "-");
  EXPECT_EQ(match(table_of({route("a/#", "x")}), "b/a"), "-");
}

TEST(RouteTableTest, AFilterOfManyLevelsIsForTheDaemonAlone) {
  const std::string deepest = levels(MAX_LEVELS, "+"), deeper = levels(MAX_LEVELS + 1, "+");
  ASSERT_TRUE(kernel_shape(deepest));
  ASSERT_TRUE(kernel_shape(deepest + "/#"));
  EXPECT_FALSE(kernel_shape(deeper));
  EXPECT_FALSE(kernel_shape(deeper + "/#"));

  const RouteTable known = table_of({route(deepest, "a"), route(deepest + "/#", "b")});
  EXPECT_EQ(known.shapes().count, 2u);
  EXPECT_EQ(known.shapes().deep, 0u);
  EXPECT_EQ(match(known, levels(32, "x")), "a");
  EXPECT_EQ(match(known, levels(33, "x")), "b");

  const RouteTable table = table_of({route("x/#", "b"), route("x/" + deepest, "deep")});
  EXPECT_EQ(table.shapes().count, 1u);
  EXPECT_EQ(table.shapes().reach, MAX_LEVELS);
  EXPECT_EQ(table.shapes().deep, 1u);
  EXPECT_EQ(table.kernel_routes().size(), 1u);
  EXPECT_EQ(match(table, levels(33, "x")), "deep");
  EXPECT_EQ(match(table, levels(34, "x")), "b");
}

// It matches no topic that the kernel judges, so the kernel does not need it.
TEST(RouteTableTest, AFilterOfLongNamesIsForTheDaemonAlone) {
  const std::string name(MAX_TOPIC, 'n');
  EXPECT_TRUE(kernel_shape(name + "/#"));
  EXPECT_FALSE(kernel_shape(name + "n/#"));
  EXPECT_FALSE(kernel_shape(name + "/+"));

  const RouteTable table = table_of({route(name + "n", "exact"), route(name + "n/#", "below"),
                                     route(name + "/+/x", "plus"), route(name + "/#", "b")});
  EXPECT_EQ(table.shapes().count, 1u);
  EXPECT_EQ(table.shapes().deep, 0u);
  EXPECT_EQ(table.kernel_routes().size(), 1u);
  EXPECT_EQ(match(table, name + "n"), "exact");
  EXPECT_EQ(match(table, name + "n/y"), "below");
  EXPECT_EQ(match(table, name + "/y/x"), "plus");
  EXPECT_EQ(match(table, name + "/y"), "b");
  EXPECT_EQ(match(table, name), "b");
  EXPECT_EQ(match(table, name + "nn"), "-");
}

TEST(RouteTableTest, TopicsOfEveryLengthAreMatched) {
  const std::string most(65'535 - 2, 't');
  const RouteTable table = table_of({route("a/#", "a"), route("+/+", "two"), route(most, "exact"),
                                     route("+/x/" + std::string(3000, 't') + "/#", "long")});
  EXPECT_EQ(match(table, "a/" + most), "a");
  EXPECT_EQ(match(table, most + "/a"), "two");
  EXPECT_EQ(match(table, most), "exact");
  EXPECT_EQ(match(table, "b/x/" + std::string(3000, 't') + "/y"), "long");
  EXPECT_EQ(match(table, "b/x/" + std::string(3001, 't')), "-");
  EXPECT_EQ(match(table, std::string(65'535, '/')), "-");
}

TEST(RouteTableTest, TheShortestTopicOfAFilter) {
  const std::pair<std::string_view, std::size_t> cases[] = {
      {"a", 1}, {"#", 1}, {"+", 1}, {"+/+", 1}, {"a/#", 1}, {"/#", 1}, {"a/+", 2}, {"a/+/bc/#", 5}};
  for (const auto& [filter, bytes] : cases) EXPECT_EQ(shortest_topic(filter), bytes) << filter;
}

TEST(RouteTableTest, FiltersThatDifferInNamesShareAShape) {
  const RouteTable table =
      table_of({route("a/+/b", "1"), route("c/+/d", "2"), route("a/+/b/#", "3"), route("x/#", "4"),
                route("y/#", "5"), route("#", "6"), route("+/#", "7"), route("a/b", "8")});
  EXPECT_EQ(table.shapes().count, 5u);
  EXPECT_EQ(table.shapes().reach, 3u);
  EXPECT_EQ(table.kernel_routes().size(), 8u);
  EXPECT_EQ(table_of({route("a", "1")}).shapes().reach, 0u);
  EXPECT_EQ(table_of({route("#", "1")}).shapes().reach, 1u);
}

TEST(RouteTableTest, MoreShapesThanTheKernelTakesAreRefused) {
  std::vector<Route> routes;
  for (std::size_t i = 0; i < MAX_SHAPES; ++i)
    routes.push_back(route(levels(1 + i / 3, "a") + (i % 3 == 0   ? "/+"
                                                     : i % 3 == 1 ? "/#"
                                                                  : "/+/#"),
                           "g"));
  EXPECT_EQ(table_of(routes).shapes().count, static_cast<unsigned>(MAX_SHAPES));
  routes.push_back(route("#", "g"));
  EXPECT_THROW(table_of(routes), std::length_error);
}

TEST(RouteTableTest, AgreesWithThePlainMatcherOnRandomTopics) {
  const auto seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  TopicMaker make(seed);
  std::size_t matched = 0;

  for (int round = 0; round < 1000; ++round) {
    const std::size_t most = round % 4 == 0 ? 40 : 6;
    std::vector<Route> routes;
    std::set<std::string> filters;
    for (auto left = make.number() % 40; left > 0; --left) {
      const std::string filter = make.number() % 4 == 0 ? make.topic(most) : make.filter(most);
      if (filters.insert(filter).second) routes.push_back(route(filter, filter));
    }
    const RouteTable table = table_of(routes);
    for (int i = 0; i < 20; ++i) {
      const std::string topic = make.topic(most);
      const Route* best = plain_choice(routes, topic);
      matched += best != nullptr;
      ASSERT_EQ(match(table, topic), best == nullptr ? "-" : best->group) << topic;
    }
  }
  EXPECT_GT(matched, 5000u);
}

}  // namespace
}  // namespace remora
