// SPDX-License-Identifier: Apache-2.0
//
// What a changed file has that the running remorad has not.
#include "cli/doctor/config_difference.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace remora::doctor {
namespace {

using Keys = std::vector<std::string>;

constexpr std::string_view kRunning = R"(
[lb]
interface = "eth0"
[[group]]
name = "a"
reals = [ { address = "10.1.3.101" }, { address = "10.1.3.102", weight = 2 } ]
[limits]
flows = 1000
)";

Keys differing_after(std::string_view what, std::string_view becomes) {
  std::string text(kRunning);
  return differing_keys(text.replace(text.find(what), what.size(), becomes), kRunning);
}

TEST(ConfigDifferenceTest, CommentsAndLayoutDoNotCount) {
  EXPECT_EQ(differing_after("flows = 1000", "# fewer\n  flows=1_000"), Keys{});
}

TEST(ConfigDifferenceTest, KeysThatDifferAreNamed) {
  EXPECT_EQ(differing_after("\"eth0\"", "\"eth1\""), Keys{"[lb] interface"});
  EXPECT_EQ(differing_after("flows = 1000", "clients = 1000"),
            (Keys{"[limits] clients", "[limits] flows"}));
  EXPECT_EQ(differing_after("[limits]\nflows = 1000", ""), Keys{"[limits] flows"});
}

TEST(ConfigDifferenceTest, ListsAreNamedAsAWhole) {
  EXPECT_EQ(differing_after("weight = 2", "weight = 3"), Keys{"[[group]]"});
  EXPECT_EQ(differing_after(", { address = \"10.1.3.102\", weight = 2 }", ""), Keys{"[[group]]"});
  EXPECT_EQ(differing_after("[limits]", "[[route]]\nfilter = \"#\"\n[limits]"), Keys{"[[route]]"});
}

TEST(ConfigDifferenceTest, WhatIsNoTomlIsRefused) {
  EXPECT_THROW(differing_keys("[lb", kRunning), std::runtime_error);
  EXPECT_THROW(differing_keys("a = \x01", kRunning), std::runtime_error);
}

TEST(ConfigDifferenceTest, SomeKeysNeedARestart) {
  EXPECT_TRUE(takes_effect_at_reload("[[route]]"));
  EXPECT_TRUE(takes_effect_at_reload("[mispredict] policy"));
  EXPECT_TRUE(takes_effect_at_reload("[limits] idle_hours"));
  EXPECT_FALSE(takes_effect_at_reload("[limits] flows"));
  EXPECT_FALSE(takes_effect_at_reload("[lb] interface"));
  EXPECT_FALSE(takes_effect_at_reload("[store] path"));
}

}  // namespace
}  // namespace remora::doctor
