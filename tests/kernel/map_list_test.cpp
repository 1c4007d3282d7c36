// SPDX-License-Identifier: Apache-2.0
//
// The list of maps against its documentation and the BPF programs.
#include "daemon/config/map_list.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace remora {
namespace {

struct DocumentedMap {
  std::string name;
  std::string key, value;  // the cells
};

// Rows of the one table in docs/maps.md; a row may stand for several maps.
std::vector<DocumentedMap> documented_maps() {
  std::ifstream file(REMORA_SOURCE_DIR "/docs/maps.md");
  EXPECT_TRUE(file);
  const std::regex row(R"(\| ([^|]+) \| ([^|]+) \| ([^|]+) \| .*)"), name("`([a-z_]+)`");
  std::vector<DocumentedMap> found;
  std::string line;
  while (std::getline(file, line)) {
    std::smatch cells;
    if (!std::regex_match(line, cells, row)) continue;
    const std::string names = cells[1];
    for (std::sregex_iterator each(names.begin(), names.end(), name), end; each != end; ++each) {
      found.push_back({(*each)[1], cells[2], cells[3]});
    }
  }
  return found;
}

// The number in parentheses, bytes.
std::optional<std::uint32_t> size_in(const std::string& cell) {
  std::smatch number;
  if (!std::regex_search(cell, number, std::regex(R"(\((\d+)( bytes)?\))"))) return std::nullopt;
  return std::stoul(number[1]);
}

TEST(MapListTest, NamesEachMapOnce) {
  std::set<std::string_view> names;
  for (const MapSpec& map : map_list()) {
    EXPECT_TRUE(names.insert(map.name).second) << map.name;
    EXPECT_LE(map.name.size(), 15U) << map.name << " is longer than the kernel keeps";
    EXPECT_EQ(find_map_spec(map.name), &map);
  }
  EXPECT_EQ(find_map_spec("no_such_map"), nullptr);
}

TEST(MapListTest, IsTheTableOfTheDocumentation) {
  std::vector<std::string> documented, listed;
  for (const DocumentedMap& map : documented_maps()) documented.push_back(map.name);
  for (const MapSpec& map : map_list()) listed.emplace_back(map.name);

  EXPECT_EQ(documented, listed);
}

TEST(MapListTest, HasTheSizesOfTheDocumentation) {
  for (const DocumentedMap& documented : documented_maps()) {
    const MapSpec* map = find_map_spec(documented.name);
    ASSERT_NE(map, nullptr) << documented.name;
    const auto key = size_in(documented.key), value = size_in(documented.value);
    const bool is_keyed = map->type == BPF_MAP_TYPE_HASH || map->type == BPF_MAP_TYPE_LRU_HASH;
    EXPECT_EQ(key.has_value(), is_keyed) << documented.name << ": " << documented.key;
    EXPECT_EQ(key.value_or(map->key_size), map->key_size) << documented.name;
    EXPECT_EQ(value.value_or(map->value_size), map->value_size) << documented.name;
  }
}

// A table in the plan needs a number of entries that follows from the configuration.
TEST(MapListTest, KnowsTheEntriesOfWhatItPlansAndOfWhatRemoradMakes) {
  for (const MapSpec& map : map_list()) {
    if (!map.is(kPlanned) && !map.is(kOwn)) continue;
    ASSERT_NE(map.entries, nullptr) << map.name;
    EXPECT_GT(map.entries(Limits{}), 0U) << map.name;
  }
}

}  // namespace
}  // namespace remora
