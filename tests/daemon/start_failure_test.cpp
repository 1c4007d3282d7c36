// SPDX-License-Identifier: Apache-2.0
#include "daemon/protocol/start_failure.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace remora {
namespace {

namespace fs = std::filesystem;

class StartFailureTest : public testing::Test {
 protected:
  ~StartFailureTest() override { fs::remove_all(folder_); }

  const fs::path folder_ =
      fs::temp_directory_path() / ("remora-start-failure-" + std::to_string(getpid()));
  const fs::path file_ = start_failure_file(folder_, "/etc/remora/lb2.toml");
};

TEST_F(StartFailureTest, IsReadAsItWasWritten) {
  const StartFailure failures[] = {{1'700'000'000, true, "lb2.toml:3: two\nlines; of it\n"},
                                   {0, false, ""}};
  for (const StartFailure& failure : failures) {
    ASSERT_TRUE(write_start_failure(file_, failure)) << "makes the folder, too";
    const auto read = read_start_failure(file_);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->at_s, failure.at_s);
    EXPECT_EQ(read->is_configuration, failure.is_configuration);
    EXPECT_EQ(read->reason, failure.reason);
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1) << "nothing else is left";
}

TEST_F(StartFailureTest, EachConfigurationHasItsOwn) {
  EXPECT_NE(file_, start_failure_file(folder_, "/etc/remora/remora.toml"));
}

TEST_F(StartFailureTest, WhatIsNoneIsNone) {
  EXPECT_FALSE(read_start_failure(file_));
  fs::create_directories(folder_);
  for (const char* text : {"", "1700000000", "yesterday start\nx", "1 other\nx"}) {
    std::ofstream(file_) << text;
    EXPECT_FALSE(read_start_failure(file_)) << text;
  }
}

TEST_F(StartFailureTest, WhereItCannotBeWrittenNothingIsThrown) {
  EXPECT_FALSE(write_start_failure("/proc/remora/lb.failed", {1, false, "x"}));
}

}  // namespace
}  // namespace remora
