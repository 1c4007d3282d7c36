// SPDX-License-Identifier: Apache-2.0
//
// Where messages go, with which fields.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "log/fields.h"

namespace remora {
namespace {

class LogTest : public testing::Test {
 protected:
  LogTest() {
    log::use([this](log::Level level, const std::string& text, std::span<const log::Field> fields) {
      std::string line = (level == log::Level::warning ? "warning: " : "other: ") + text;
      for (const log::Field& field : fields)
        line += " [" + std::string(field.name) + "=" + field.value + "]";
      lines_.push_back(line);
      return true;
    });
  }
  ~LogTest() override { log::use(nullptr); }

  std::vector<std::string> lines_;
};

TEST_F(LogTest, TheWriterGetsMessagesWithTheirFields) {
  testing::internal::CaptureStderr();

  log::With({{"REAL", "10.1.3.101"}, {"GROUP", "warm"}}).warn("real {} is dead", "10.1.3.101");
  log::info("plain");
  log::debug("below the level");

  EXPECT_EQ(lines_, (std::vector<std::string>{
                        "warning: real 10.1.3.101 is dead [REAL=10.1.3.101] [GROUP=warm]",
                        "other: plain"}));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace remora
