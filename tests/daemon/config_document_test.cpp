// SPDX-License-Identifier: Apache-2.0
//
// What people read about the configuration against what the code knows of it.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>

#include "daemon/config/config.h"
#include "daemon/config/memory_plan.h"

namespace remora {
namespace {

const std::filesystem::path kSource = REMORA_SOURCE_DIR;

std::string file_text(const std::filesystem::path& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

// As docs/config.md has it.
std::string in_megabytes(std::uint64_t bytes) {
  return std::to_string((bytes + 500'000) / 1'000'000);
}

TEST(ExampleConfigTest, IsAcceptedAndShowsEveryKey) {
  const auto path = kSource / "systemd/remora.toml";
  EXPECT_TRUE(load_config(path).warnings.empty());

  const std::string text = file_text(path);
  for (const auto& [table, key, example] : known_keys()) {
    const std::regex shown("(^|\\n|\\{ |, )(# )?" + std::string(key) + " = ");
    EXPECT_TRUE(std::regex_search(text, shown)) << table << "." << key;
  }
}

// A setting that is shown as a comment is the default: with all of them in force
// nothing changes.
TEST(ExampleConfigTest, CommentsShowTheDefaults) {
  const auto path = kSource / "systemd/remora.toml";
  const std::string text =
      std::regex_replace(file_text(path), std::regex("\\n# ([a-z_]+ = )"), "\n$1");

  const Config shown = load_config(path);
  const Config config = parse_config(text, "remora.toml");

  EXPECT_EQ(config.lb.instance, shown.lb.instance);
  EXPECT_EQ(config.lb.gateway_mac, shown.lb.gateway_mac);
  EXPECT_EQ(config.lb.outer_source4, shown.lb.outer_source4);
  EXPECT_EQ(config.lb.outer_source6, shown.lb.outer_source6);
  EXPECT_EQ(config.lb.xdp_mode, shown.lb.xdp_mode);
  EXPECT_EQ(config.lb.forwarder, shown.lb.forwarder);
  EXPECT_EQ(config.mispredict.policy, shown.mispredict.policy);
  EXPECT_EQ(policy_of(config, config.groups[1]), policy_of(shown, shown.groups[1]));
  EXPECT_EQ(config.mispredict.resets_per_second, shown.mispredict.resets_per_second);
  EXPECT_EQ(config.mispredict.resets_per_client, shown.mispredict.resets_per_client);
  EXPECT_EQ(config.evacuate.reason, shown.evacuate.reason);
  EXPECT_EQ(config.health.check, shown.health.check);
  EXPECT_EQ(config.health.interval_s, shown.health.interval_s);
  EXPECT_EQ(config.health.timeout_s, shown.health.timeout_s);
  EXPECT_EQ(config.health.rise, shown.health.rise);
  EXPECT_EQ(config.health.fall, shown.health.fall);
  EXPECT_EQ(config.health.username, shown.health.username);
  EXPECT_EQ(config.health.password_file, shown.health.password_file);
  EXPECT_EQ(config.health.client_id, shown.health.client_id);
  EXPECT_EQ(config.health.network4, shown.health.network4);
  EXPECT_EQ(config.health.network6, shown.health.network6);
  EXPECT_EQ(config.limits.clients, shown.limits.clients);
  EXPECT_EQ(config.limits.flows, shown.limits.flows);
  EXPECT_EQ(config.limits.half_open, shown.limits.half_open);
  EXPECT_EQ(config.limits.topics, shown.limits.topics);
  EXPECT_EQ(config.limits.early_segments, shown.limits.early_segments);
  EXPECT_EQ(config.limits.groups, shown.limits.groups);
  EXPECT_EQ(config.limits.idle_hours, shown.limits.idle_hours);
  EXPECT_EQ(config.limits.connections_per_client, shown.limits.connections_per_client);
  EXPECT_EQ(config.limits.events_kib, shown.limits.events_kib);
  EXPECT_EQ(config.store.path, shown.store.path);
  EXPECT_EQ(config.store.retention_days, shown.store.retention_days);
}

TEST(ConfigDocumentTest, HasARowForEveryKey) {
  const std::string text = file_text(kSource / "docs/config.md");
  for (const auto& [table, key, example] : known_keys())
    EXPECT_NE(text.find("| `" + std::string(key) + "` |"), std::string::npos)
        << table << "." << key;
}

TEST(ConfigDocumentTest, HasTheMemoryOfEveryTable) {
  const std::string text = file_text(kSource / "docs/config.md");
  const auto plan = memory_plan(Config());
  for (const TableMemory& table : plan) {
    const std::regex row("\\| `" + std::string(table.table) + "` \\| [^|]+ \\| " +
                         std::to_string(table.bytes_per_entry) + " \\| " +
                         in_megabytes(table.bytes()) + " \\|");
    EXPECT_TRUE(std::regex_search(text, row))
        << table.table << ": " << table.bytes_per_entry << " bytes, " << table.bytes() << " in all";
  }
  const std::string together = in_megabytes(total_bytes(plan));
  EXPECT_NE(text.find("| together | | | " + together + " |"), std::string::npos) << together;
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
    if (table.table == "predictions") {  // 8192 buckets for 5000 entries
      EXPECT_EQ(table.entries, 5000u);
      EXPECT_EQ(table.bytes_per_entry, 48u + 24 + 24 + 27);
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
