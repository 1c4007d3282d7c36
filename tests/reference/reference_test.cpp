// SPDX-License-Identifier: Apache-2.0
//
// How the lists in the code become documents.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>

#include "daemon/config/fields.h"
#include "tests/reference/config_reference.h"
#include "tests/reference/counter_reference.h"
#include "tests/reference/text.h"

namespace remora::reference {
namespace {

constexpr Table kTables[] = {{"lb", "[lb]"}, {"limits", "[limits]"}};
constexpr Key kRows[] = {
    {.table = "lb",
     .name = "interface",
     .field = text<&Config::lb, &Lb::interface>(interface_problem),
     .presence = Presence::kRequired,
     .change = Change::kDetach,
     .meaning = "Where packets arrive.",
     .details = "See [here](here.md).",
     .example = "\"eth0\""},
    {.table = "lb",
     .name = "xdp_mode",
     .field = one_of<kXdpModes, &Config::lb, &Lb::xdp_mode>(),
     .meaning = "How `xdp_root` is attached."},
    {.table = "limits",
     .name = "groups",
     .field = number<&Config::limits, &Limits::groups>({1, 512}),
     .meaning = "Groups.",
     .maps = "ch_rings"},
};
constexpr Keys kKeys(kTables, kRows);

TEST(ReferenceTest, ATableHasARowForEachKey) {
  EXPECT_EQ(key_table(kKeys, "lb"),
            "| key | type | default | change | meaning |\n"
            "|---|---|---|---|---|\n"
            "| `interface` | string | required | detach | Where packets arrive. "
            "See [here](here.md). |\n"
            "| `xdp_mode` | string | `\"native\"` | reload | How `xdp_root` is attached. "
            "`native`: in the driver. `generic`: works with every driver, but is slower. |\n");
  EXPECT_EQ(key_table(kKeys, "limits"),
            "| key | type | default | change | bytes per entry | meaning |\n"
            "|---|---|---|---|---|---|\n"
            "| `groups` | integer, 1 to 512 | `64` | reload | 524 296 | Groups. |\n");
}

TEST(ReferenceTest, AManPageHasNoMarksOfItsOwnInWords) {
  EXPECT_EQ(key_entries(kKeys, "lb"),
            "\n*interface* (required)\n\tWhere packets arrive.\n"
            "\n*xdp_mode* = \"native\"\n"
            "\tHow *xdp\\_root* is attached. *native*: in the driver. *generic*: works with every\n"
            "\tdriver, but is slower.\n\n");
}

TEST(ReferenceTest, CommentsAboveASettingAreThoseOfItsKey) {
  EXPECT_EQ(
      with_comments(kKeys,
                    "# The file.\n\n# A table.\n[lb]\n# Old.\n# Words.\ninterface = \"eth1\"\n"
                    "# xdp_mode = \"old\"\n\n[limits]\n# groups = 1\n"),
      "# The file.\n\n# A table.\n[lb]\n# Where packets arrive.\ninterface = \"eth1\"\n"
      "# How xdp_root is attached.\n#   native: in the driver.\n"
      "#   generic: works with every driver, but is slower.\n# xdp_mode = \"native\"\n\n"
      "[limits]\n# Groups.\n# groups = 64\n");
}

TEST(ReferenceTest, AKeyThatTheExampleLacksIsAddedToItsTable) {
  const std::string example =
      with_comments(kKeys, "[lb]\ninterface = \"eth0\"\n\n[limits]\n# groups = 64\n");
  EXPECT_NE(example.find("interface = \"eth0\"\n# How xdp_root is attached.\n"), example.npos);
  EXPECT_NE(example.find("# xdp_mode = \"native\"\n\n[limits]\n"), example.npos);
  EXPECT_THROW(with_comments(kKeys, "[lb]\ninterface = \"eth0\"\n"), std::runtime_error);
}

TEST(ReferenceTest, KeysAreListedByWhatTheirChangeNeeds) {
  EXPECT_EQ(keys_that_need(kKeys, Change::kDetach), "\n*interface* of *[lb]*.\n\n");
}

TEST(ReferenceTest, LongLinesAreWrapped) {
  EXPECT_EQ(wrapped("one two three", "# ", 9), "# one two\n# three\n");
  EXPECT_EQ(plain("`a_b` of [c](c.md)"), "a_b of c");
  EXPECT_EQ(for_man("`a_b` * [c](c.md)"), "*a\\_b* \\* c");
}

TEST(CounterReferenceTest, ATableHasARowForEachCounter) {
  constexpr CounterFacts kFacts[] = {
      {"SYN", "packets", CounterClass::kNormal, "connection attempts"},
      {"NO_REAL", "packets", CounterClass::kAlarm, "packets dropped: the group has no real"}};
  EXPECT_EQ(counter_table(kFacts),
            "| counter | class | unit | meaning |\n|---|---|---|---|\n"
            "| `SYN` | normal | packets | connection attempts |\n"
            "| `NO_REAL` | alarm | packets | packets dropped: the group has no real |\n");
}

// Capitalised words that documents write as code and that are not counters.
constexpr std::string_view kOtherWords[] = {"BPF_PROG_TEST_RUN",
                                            "BPF_RB_FORCE_WAKEUP",
                                            "BPF_XDP",
                                            "ERROR",
                                            "NO_SPORT",
                                            "PROBLEM",
                                            "EVENT_EVACUATED",
                                            "FORWARD",
                                            "REMORA_ABI",
                                            "REMORA_KATRAN_OBJ",
                                            "REFUSED",
                                            "REMORA_RUNTIME_DIR",
                                            "RUN_SERIAL",
                                            "SHADOW",
                                            "SKIP_UNITY_BUILD_INCLUSION",
                                            "SO_PEERCRED",
                                            "STALLED",
                                            "VACUUM"};

bool is_known(const std::string& word) {
  return std::ranges::find(kOtherWords, word) != std::end(kOtherWords) ||
         std::ranges::find(kernel_counters(), word, &CounterFacts::name) != kernel_counters().end();
}

// operations.md used to name a counter `HOLE` long after it was removed.
TEST(DocumentsTest, AWordInCapitalsIsACounter) {
  namespace fs = std::filesystem;
  const fs::path source = REMORA_SOURCE_DIR;
  std::vector<fs::path> pages = {source / "README.md"};
  for (const auto& entry : fs::recursive_directory_iterator(source / "docs"))
    if (entry.path().extension() == ".md") pages.push_back(entry.path());

  static const std::regex quoted("`([A-Z][A-Z0-9_]+)`");
  int counters = 0;
  for (const fs::path& page : pages) {
    std::ifstream file(page);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    for (std::sregex_iterator found(text.begin(), text.end(), quoted), end; found != end; ++found) {
      EXPECT_TRUE(is_known((*found)[1])) << page << ": " << (*found)[1];
      ++counters;
    }
  }
  EXPECT_GT(counters, 50);
}

}  // namespace
}  // namespace remora::reference
