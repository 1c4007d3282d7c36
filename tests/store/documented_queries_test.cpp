// SPDX-License-Identifier: Apache-2.0
// Runs the queries of docs/history.md unchanged.
#include <regex>

#include "tests/store/history_fixture.h"

namespace remora {
namespace {

std::string page() {
  std::ifstream file(REMORA_HISTORY_PAGE);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> queries() {
  const std::string fence = "```";
  const std::string text = page();
  std::vector<std::string> found;
  std::size_t begin = 0;
  while ((begin = text.find(fence + "sql\n", begin)) != std::string::npos) {
    begin += fence.size() + 4;
    const std::size_t end = text.find(fence, begin);
    found.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return found;
}

class DocumentedQueriesTest : public HistoryTest {
 protected:
  // Two weeks of a few clients, for which each query has an answer.
  DocumentedQueriesTest() {
    open();
    const std::int64_t now = now_ms();
    history_->record(learned("10.1.1.7", "measurements/humidity", "humidity", now - 14 * kDay));
    history_->record(mispredicted("10.1.1.7", "measurements/temperature", "humidity", "temperature",
                                  now - 3 * kDay));
    history_->record(
        learned("10.1.1.8", "measurements/temperature/in", "temperature", now - 2 * kDay));
    for (int n = 20; n > 0; --n) {
      const std::string topic = n % 2 == 0 ? "a" : "\xff";
      history_->record(
          mispredicted("10.1.1.9", topic, "temperature", "default", now - n, Action::kept));
    }
    history_->record(Operation{.at_ms = now - kMinute,
                               .what = "drain",
                               .uid = 0,
                               .real = "10.1.3.101",
                               .error = "no such real"});
    history_->record(Operation{.at_ms = now - kMinute, .what = "dead", .real = "10.1.3.101"});
    history_->flush();
  }
};

TEST_F(DocumentedQueriesTest, EachReturnsRows) {
  const auto all = queries();

  EXPECT_GE(all.size(), 10U);
  for (const std::string& query : all) EXPECT_FALSE(rows(query).empty()) << query;
}

TEST_F(DocumentedQueriesTest, WhatAClientPublishedLastWeek) {
  const auto found = rows(queries().at(0));

  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].find("measurements/temperature|"), 0U);
  EXPECT_EQ(found[1].find("measurements/humidity|"), 0U);
}

TEST_F(DocumentedQueriesTest, ThoseAboutOneClientOrATimeUseAnIndex) {
  const std::regex narrow("WHERE (client =|at_ms >=)");
  int checked = 0;
  for (const std::string& query : queries()) {
    if (!std::regex_search(query, narrow)) continue;
    ++checked;
    for (const std::string& step : rows("EXPLAIN QUERY PLAN " + query)) {
      EXPECT_EQ(step.find("SCAN events"), std::string::npos) << query << step;
      EXPECT_EQ(step.find("SCAN clients"), std::string::npos) << query << step;
    }
  }

  EXPECT_GE(checked, 5);
}

TEST_F(DocumentedQueriesTest, EveryViewAndColumnIsOnThePage) {
  const std::string text = page();

  for (const std::string& name :
       rows("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')"
            " AND name NOT LIKE 'sqlite_%'")) {
    EXPECT_NE(text.find('`' + name + '`'), std::string::npos) << name;
    for (const std::string& column : rows("SELECT name FROM pragma_table_info('" + name + "')")) {
      EXPECT_NE(text.find('`' + column + '`'), std::string::npos) << name << '.' << column;
    }
  }
}

}  // namespace
}  // namespace remora
