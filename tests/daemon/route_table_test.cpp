// SPDX-License-Identifier: Apache-2.0
//
// Topic to group in user space, against a table and against the plain matcher.
#include "daemon/route_table.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "daemon/topic_filter.h"

namespace remora {
namespace {

Route route(std::string filter, std::string group) {
  return {.filter = std::move(filter), .group = std::move(group), .line = 0};
}

std::string match(const RouteTable& table, std::string_view topic) {
  return std::string(table.match(topic).value_or("-"));
}

TEST(RouteTableTest, TheMostSpecificRouteWins) {
  const RouteTable table({route("a/b", "exact"), route("a/b/#", "long"), route("a/#", "short"),
                          route("/#", "slash"), route("#", "all")});

  EXPECT_EQ(match(table, "a/b"), "exact");
  EXPECT_EQ(match(table, "a/b/c"), "long");
  EXPECT_EQ(match(table, "a/bc"), "short");
  EXPECT_EQ(match(table, "a"), "short");  // the parent level, MQTT 5.0 §4.7.1.2
  EXPECT_EQ(match(table, "a/"), "short");
  EXPECT_EQ(match(table, "/x"), "slash");
  EXPECT_EQ(match(table, "ab"), "all");
  EXPECT_EQ(match(table, "$SYS/x"), "-");  // §4.7.2
}

TEST(RouteTableTest, WithoutARouteThereIsNoAnswer) {
  EXPECT_EQ(match(RouteTable(), "a"), "-");
  EXPECT_EQ(match(RouteTable({route("a/#", "x")}), "b/a"), "-");
}

// The longest filter that the plain matcher accepts is the most specific one,
// exact before prefix: that is the rule of docs/config.md.
TEST(RouteTableTest, AgreesWithThePlainMatcherOnRandomTopics) {
  const auto seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto text = [&] {
    std::string out;
    for (auto left = random() % 6 + 1; left > 0; --left) out += "ab/$"[random() % 4];
    return out;
  };

  for (int round = 0; round < 2000; ++round) {
    std::vector<Route> routes;
    for (auto left = random() % 6; left > 0; --left) {
      const std::string base = text();
      routes.push_back(route(random() % 2 != 0 ? base : base + "/#", base));
    }
    const RouteTable table(routes);
    const std::string topic = text();

    const Route* best = nullptr;
    for (const Route& candidate : routes) {
      if (!filter_matches(candidate.filter, topic)) continue;
      const bool is_exact = candidate.filter == topic;
      if (best == nullptr || is_exact ||
          (best->filter != topic && candidate.filter.size() > best->filter.size())) {
        best = &candidate;
      }
    }
    EXPECT_EQ(match(table, topic), best == nullptr ? "-" : best->group) << topic;
  }
}

}  // namespace
}  // namespace remora
