// SPDX-License-Identifier: Apache-2.0
//
// Findings as text for people and as JSON for scripts.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/doctor/report.h"

namespace remora::doctor {
namespace {

const About kForwarding{"ip_forward", "net.ipv4.conf.eth0.forwarding"};

std::string printed(const Findings& findings) {
  std::ostringstream out;
  print_findings(out, findings);
  return out.str();
}

TEST(DoctorReportTest, AFindingIsASentenceWithItsRemedyOnALineOfItsOwn) {
  EXPECT_EQ(printed({About{"bpffs", "/sys/fs/bpf"}.ok("is mounted"),
                     kForwarding.error("is 1: what is passed up for a service goes round and round",
                                       "sysctl -w net.ipv4.ip_forward=0"),
                     About{"slots", "the root array"}.unknown("Permission denied")}),
            "ok       bpffs           /sys/fs/bpf is mounted\n"
            "ERROR    ip_forward      net.ipv4.conf.eth0.forwarding is 1: what is passed up\n"
            "                         for a service goes round and round\n"
            "         # sysctl -w net.ipv4.ip_forward=0\n"
            "unknown  slots           the root array: Permission denied\n"
            "\n"
            "1 error, 1 unknown, 1 ok\n");
}

TEST(DoctorReportTest, LinesEndAtTheEightiethColumn) {
  std::string words;
  for (int i = 0; i < 100; ++i) words += "word" + std::to_string(i % 13) + " ";
  std::istringstream lines(printed({kForwarding.warning(words)}));
  std::size_t longest = 0;
  for (std::string line; std::getline(lines, line);) longest = std::max(longest, line.size());

  EXPECT_LE(longest, 80u);
  EXPECT_GT(longest, 74u);
}

TEST(DoctorReportTest, LinesOfAMessageStayLines) {
  EXPECT_EQ(printed({About{"config", "f"}.error("cannot be used: f:1: a\nf:2: b")}),
            "ERROR    config          f cannot be used: f:1: a\n"
            "                         f:2: b\n"
            "\n"
            "1 error\n");
}

TEST(DoctorReportTest, TheExitCodeIsThatOfTheWorst) {
  EXPECT_EQ(exit_code({}), 0);
  EXPECT_EQ(exit_code({kForwarding.ok()}), 0);
  EXPECT_EQ(exit_code({kForwarding.ok(), kForwarding.warning("w")}), 0);
  EXPECT_EQ(exit_code({kForwarding.unknown("u"), kForwarding.warning("w")}), 3);
  EXPECT_EQ(exit_code({kForwarding.unknown("u"), kForwarding.error("e")}), 1);
}

TEST(DoctorReportTest, JsonHasAllOfIt) {
  const auto json = to_json({kForwarding.error("is 1", "sysctl"), kForwarding.ok("is 0")});

  EXPECT_EQ(json.at("counts"),
            (nlohmann::ordered_json{{"error", 1}, {"warning", 0}, {"unknown", 0}, {"ok", 1}}));
  EXPECT_EQ(json.at("findings").at(0),
            (nlohmann::ordered_json{{"check", "ip_forward"},
                                    {"state", "error"},
                                    {"looked_at", "net.ipv4.conf.eth0.forwarding"},
                                    {"says", "is 1"},
                                    {"remedy", "sysctl"}}));
  EXPECT_TRUE(json.at("findings").at(1).at("remedy").is_null());
}

}  // namespace
}  // namespace remora::doctor
