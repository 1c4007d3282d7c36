// SPDX-License-Identifier: Apache-2.0
//
// The example that is installed, and what the tables of a configuration cost.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>

#include "daemon/config/config.h"
#include "daemon/config/keys.h"
#include "daemon/config/memory_plan.h"

namespace remora {
namespace {

const std::filesystem::path kSource = REMORA_SOURCE_DIR;

std::string file_text(const std::filesystem::path& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(ExampleConfigTest, IsAccepted) {
  EXPECT_TRUE(load_config(kSource / "systemd/remora.toml").warnings.empty());
}

// The commented-out settings are the defaults: enabling all of them changes nothing.
TEST(ExampleConfigTest, CommentsShowTheDefaults) {
  const auto path = kSource / "systemd/remora.toml";
  const std::string text = std::regex_replace(
      file_text(path), std::regex("\\n# ((?!server_keep_alive)[a-z_]+ = )"), "\n$1");

  const Config shown = load_config(path);
  const Config config = parse_config(text, "remora.toml");

  // Keys of an operator's Katran and server_keep_alive have no default, and a group's policy
  // defaults to that of [mispredict].
  const std::vector<std::string> apart = {"[lb] katran_object", "[lb] katran_root_array",
                                          "[[group]]"};
  for (const ChangedKey& key : changed_keys(shown, config))
    EXPECT_NE(std::ranges::find(apart, key.name), apart.end()) << key.name;
  EXPECT_EQ(policy_of(config, config.groups[1]), policy_of(shown, shown.groups[1]));
}

TEST(MemoryPlanTest, FollowsTheLimitsLargestFirst) {
  Config config;
  config.limits.flows = 4096;
  config.limits.clients = 5000;
  config.limits.groups = 3;
  config.limits.events_kib = 128;

  const auto plan = memory_plan(config);

  std::uint64_t sum = 0;
  std::uint64_t previous = plan.front().bytes();
  for (const TableMemory& table : plan) {
    sum += table.bytes();
    EXPECT_LE(table.bytes(), previous) << table.table;
    previous = table.bytes();
    if (table.table == "flows") {
      EXPECT_EQ(table.entries, 4097u);
      EXPECT_EQ(table.bytes_per_entry, sizeof(flow_place));
    }
    if (table.table == "places") {
      EXPECT_EQ(table.entries, 4096u);
      EXPECT_EQ(table.bytes_per_entry, 48u + 24 + 8 + 16);
    }
    if (table.table == "hints") {
      EXPECT_EQ(table.bytes(), 4u * 4096);
    }
    if (table.table == "predictions") {  // nine tenths full, in sets of eight
      EXPECT_EQ(table.entries, 695u);
      EXPECT_EQ(table.bytes_per_entry, 8u * 48);
    }
    if (table.table == "ch_rings") {
      EXPECT_EQ(table.bytes(), 3u * 65537 * 8);
    }
    if (table.table == "events") {
      EXPECT_EQ(table.entries, 128u * 1024);
    }
  }
  EXPECT_EQ(total_bytes(plan), sum);
}

}  // namespace
}  // namespace remora
