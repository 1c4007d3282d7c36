// SPDX-License-Identifier: Apache-2.0
//
// Bytes that the TOML parser must not see.
#include <gtest/gtest.h>

#include <string>

#include "daemon/config/text.h"

namespace remora {
namespace {

TEST(ConfigTextTest, WhatTomlAllowsPasses) {
  for (const char* text : {
           "",
           "a = 1\n",
           "\xef\xbb\xbf"
           "a = 1\r\n\tb = 2\n",
           "# caf\xc3\xa9\n",
           "a = \"caf\xc3\xa9\"\n",
           "a = 'caf\xc3\xa9'\n",
           "a = \"\"\"\ncaf\xc3\xa9 \"quoted\"\n\"\"\"\n",
           "a = '''\n\xc3\xa9'\n'''\n",
           "a = \"\\\"\xc3\xa9\"\n",
           "a = '\\' # \xc3\xa9\n",
           "a = \"# no comment\" # \xc3\xa9\n",
       }) {
    EXPECT_FALSE(misplaced_byte(text)) << text;
  }
}

struct Misplaced {
  std::string text;
  std::uint32_t line;
};

class MisplacedTest : public testing::TestWithParam<Misplaced> {};

TEST_P(MisplacedTest, IsRefusedWithItsLineAndDoesNotStopTheProcess) {
  const auto problem = misplaced_byte(GetParam().text);

  ASSERT_TRUE(problem);
  EXPECT_EQ(problem->line, GetParam().line);
  EXPECT_THROW(parse_config(GetParam().text, "test.toml"), ConfigError);
}

INSTANTIATE_TEST_SUITE_P(
    Bytes, MisplacedTest,
    testing::Values(Misplaced{"\x19i[", 1},  // made a debug build abort
                    Misplaced{"\n\xcf\xbf", 2}, Misplaced{std::string("a = \0", 5), 1},
                    Misplaced{"a = 'x'\n\xc3\xa9 = 1\n", 2}, Misplaced{"a = \"\x01\"\n", 1},
                    Misplaced{"# \x7f\n", 1}, Misplaced{"a = \"open\n\xc3\xa9\n", 2},
                    Misplaced{"a = \"\"\"\nx\n\"\"\" \xc3\xa9\n", 3},
                    Misplaced{"a = \"\\\x01\"\n", 1}, Misplaced{"a = 0.5'''b\xef\xb1\xbf", 1}));

}  // namespace
}  // namespace remora
