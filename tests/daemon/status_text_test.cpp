// SPDX-License-Identifier: Apache-2.0
//
// `remoractl status` as people see it.
#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "cli/status.h"

namespace remora {
namespace {

using json = nlohmann::ordered_json;

json status_with(const json& groups) {
  return {{"instance", "lb"},
          {"interface", "eth0"},
          {"mode", "native"},
          {"forwarder", "embedded"},
          {"uptime_s", 3},
          {"gateway_mac", nullptr},
          {"programs", json::object()},
          {"groups", groups},
          {"tables", json::object()},
          {"counters", json::object()},
          {"daemon", json::object()},
          {"history", {{"path", "/h.db"}, {"ok", true}, {"error", ""}, {"clients", 0}}}};
}

json group(const char* name, const char* vip) {
  return {{"name", name}, {"vip", vip}, {"configured", true}, {"packets", 15}, {"bytes", 890}};
}

// The table of groups, from its heading on.
std::string groups_of(const json& status) {
  std::ostringstream out;
  print_status(out, status);
  const std::string text = out.str();
  const auto begin = text.find("group ");
  return text.substr(begin, text.find("\n\n", begin) - begin);
}

TEST(StatusTextTest, GroupsStandInColumns) {
  EXPECT_EQ(
      groups_of(status_with({group("temperature", "10.1.50.201"), group("rest", "10.1.50.3")})),
      "group           VIP                  packets           bytes\n"
      "temperature     10.1.50.201               15             890\n"
      "rest            10.1.50.3                 15             890");
}

TEST(StatusTextTest, ColumnsAreAsWideAsTheirWidestEntry) {
  EXPECT_EQ(groups_of(status_with({group("temperature-north", "2001:db8:1:2:3:4:5:6789"),
                                   group("rest", "10.1.50.3")})),
            "group              VIP                           packets           bytes\n"
            "temperature-north  2001:db8:1:2:3:4:5:6789            15             890\n"
            "rest               10.1.50.3                          15             890");
}

}  // namespace
}  // namespace remora
