// SPDX-License-Identifier: Apache-2.0
//
// The output of `remoractl status`.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "cli/reals.h"
#include "cli/status.h"
#include "daemon/control/unit_status.h"

namespace remora {
namespace {

using json = nlohmann::ordered_json;

json status_with(const json& groups) {
  return {{"version", "0.2.0"},
          {"instance", "lb"},
          {"interface", "eth0"},
          {"mode", "native"},
          {"forwarder", "embedded"},
          {"uptime_s", 3},
          {"gateway_mac", nullptr},
          {"programs", json::object()},
          {"groups", groups},
          {"reals", json::array()},
          {"tables", json::object()},
          {"counters", json::object()},
          {"daemon", json::object()},
          {"history", {{"path", "/h.db"}, {"ok", true}, {"error", ""}, {"clients", 0}}}};
}

json group(const char* name, const char* vip) {
  return {{"name", name}, {"vip", vip}, {"configured", true}, {"packets", 15}, {"bytes", 890}};
}

// The table of groups, with its heading.
std::string groups_of(const json& status) {
  std::ostringstream out;
  print_status(out, status, Shown::kAll);
  const std::string text = out.str();
  const auto begin = text.find("group ");
  return text.substr(begin, text.find("\n\n", begin) - begin);
}

TEST(StatusTextTest, TheFirstLineNamesInstanceAndVersion) {
  std::ostringstream out;
  print_status(out, status_with(json::array()), Shown::kAll);

  const std::string text = out.str();
  EXPECT_EQ(text.substr(0, text.find('\n')),
            "instance lb on eth0 (native XDP, embedded forwarder), remorad 0.2.0, up 3 s");
}

TEST(StatusTextTest, EachProblemHasALine) {
  json status = status_with(json::array());
  EXPECT_TRUE(problems_of(status).empty());
  EXPECT_TRUE(problems_of({{"reals", json::array()}}).empty()) << "another answer";

  status["attachment_problem"] = "eth0 is gone";
  status["link_problem"] = "the gateway does not answer";
  status["xdp_tx"] = {{"driver", "veth"}, {"errors", 7}, {"grew_s_ago", 60}};
  std::ostringstream out;
  print_status(out, status, Shown::kAll);

  EXPECT_EQ(problems_of(status).size(), 3U) << "for the exit code";
  EXPECT_NE(out.str().find("\nPROBLEM  eth0 is gone\nPROBLEM  the gateway does not answer\n"
                           "PROBLEM  the driver veth throws away frames"),
            std::string::npos)
      << out.str();
  status["xdp_tx"]["grew_s_ago"] = 61;
  EXPECT_EQ(problems_of(status).size(), 2U) << "it is over";
  status["history"]["ok"] = false;
  status["history"]["error"] = "the disk is full";
  EXPECT_EQ(problems_of(status).back(), "the history is not written: the disk is full");
}

TEST(StatusTextTest, TheLastReloadIsToldWithItsResult) {
  const auto text_with = [](const json& last) {
    json status = status_with(json::array());
    status["last_reload"] = last;
    std::ostringstream out;
    print_status(out, status, Shown::kAll);
    return out.str();
  };

  EXPECT_EQ(text_with(nullptr).find("reload"), std::string::npos);
  const std::string done =
      text_with({{"s_ago", 61}, {"refused", nullptr}, {"changes", {"route \"a\" added"}}});
  EXPECT_NE(done.find("\nreload   done 1 min 1 s ago, 1 change\n"), std::string::npos) << done;
  const std::string refused = text_with({{"s_ago", 3}, {"refused", "f:1: a\nf:2: b"}});
  EXPECT_NE(refused.find("\nreload   REFUSED 3 s ago, the old configuration is in force: f:1: a\n"
                         "         f:2: b\n"),
            std::string::npos)
      << refused;
}

TEST(StatusTextTest, TheRouterIsToldWhereItServesAService) {
  const auto text_with = [](const char* state) {
    json status = status_with(json::array());
    status["router"] = {
        {"open", false}, {"stalled", false}, {"connections", 12}, {"memory_bytes", 3 << 19}};
    if (*state) status["router"][state] = true;
    std::ostringstream out;
    print_status(out, status, Shown::kAll);
    return out.str();
  };

  EXPECT_EQ(text_with("").find("router"), std::string::npos);
  EXPECT_NE(text_with("open").find("\nrouter   12 connections, 1.5 MiB\n"), std::string::npos);
  EXPECT_NE(text_with("stalled").find("\nrouter   STALLED: "), std::string::npos);
}

TEST(StatusTextTest, AGroupWithoutVipHasADash) {
  json without = group("rest", "");
  without["vip"] = nullptr;

  EXPECT_NE(groups_of(status_with(json::array({without}))).find("rest            -  "),
            std::string::npos);
}

TEST(StatusTextTest, ALargeTableIsCountedAfterTheStart) {
  json status = status_with(json::array());
  status["tables"] = {{"flows", {{"used", 5}, {"limit", 100}}},
                      {"predictions", {{"used", nullptr}, {"limit", 1'000'000}}}};

  std::ostringstream out;
  print_status(out, status, Shown::kAll);
  EXPECT_NE(out.str().find("flows                      5         100\n"), std::string::npos);
  EXPECT_NE(out.str().find("predictions         counting     1000000\n"), std::string::npos);
}

TEST(StatusTextTest, TheHistoryHasASizeALimitAndGrowth) {
  json status = status_with(json::array());
  status["history"].update(
      {{"bytes", 3 << 19}, {"max_bytes", 2048LL << 20}, {"bytes_per_day", -(1 << 19)}});
  std::ostringstream out;
  print_status(out, status, Shown::kAll);

  EXPECT_NE(out.str().find("\nhistory  /h.db, 0 clients, 1.5 of 2048 MiB, -0.5 MiB a day\n"),
            std::string::npos)
      << out.str();
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

TEST(StatusTextTest, CountersAboveZeroThatAreNotNormalAreMarked) {
  const auto counter = [](int value, const char* kind) -> json {
    return {{"value", value}, {"unit", "packets"}, {"class", kind}, {"meaning", "what it is"}};
  };
  json status = status_with(json::array());
  status["counters"] = {{"SYN", counter(7, "normal")},
                        {"TOO_BIG", counter(12, "look")},
                        {"NO_REAL", counter(3, "alarm")},
                        {"VLAN", counter(0, "alarm")}};
  std::ostringstream out;
  print_status(out, status, Shown::kAll);
  const std::string text = out.str();
  EXPECT_EQ(text.substr(text.find("counter "), text.find("\n\ndaemon") - text.find("counter ")),
            "counter                      value         meaning\n"
            "SYN                              7         what it is\n"
            "TOO_BIG                         12  look   what it is\n"
            "NO_REAL                          3  alarm  what it is\n"
            "VLAN                             0         what it is");
}

TEST(StatusTextTest, CountersOfZeroAreLeftOutUnlessAsked) {
  const json counter = {
      {"value", 0},
      {"unit", "packets"},
      {"class", "look"},
      {"meaning", "packets that nobody has ever seen, and whose meaning is long"}};
  json status = status_with(json::array());
  status["counters"] = {{"TOO_BIG", counter}, {"VLAN", counter}, {"SYN", counter}};
  status["counters"]["SYN"]["value"] = 7;
  std::ostringstream few, all;

  print_status(few, status, Shown::kAboveZero);
  print_status(all, status, Shown::kAll);

  EXPECT_NE(few.str().find(
                "\nSYN                              7  look   packets that nobody has ever seen,"
                "\n                                           and whose meaning is long\n2 more "
                "are 0: --all\n"),
            std::string::npos)
      << few.str();
  EXPECT_EQ(few.str().find("VLAN"), std::string::npos);
  EXPECT_NE(all.str().find("VLAN"), std::string::npos);
}

// Each group's brokers got what is right, wrong and not judged.
TEST(StatusTextTest, PublishesStandByGroupAndQos) {
  const auto by_qos = [](int zero, int one, int two) -> json {
    return {{"qos0", zero}, {"qos1", one}, {"qos2", two}};
  };
  json of = group("temperature", "10.1.50.201");
  of["publishes"] = {{"right", by_qos(100, 10, 1)},
                     {"wrong", by_qos(5, 0, 2)},
                     {"unjudged", by_qos(1, 0, 0)},
                     {"withheld", by_qos(0, 3, 0)}};
  std::ostringstream out;

  print_status(out, status_with(json::array({of})), Shown::kAboveZero);

  EXPECT_NE(out.str().find(
                "\nPUBLISHes             QoS 0      QoS 1      QoS 2     wrong  unjudged  withheld"
                "\ntemperature             106         10          3         7         1         3"
                "\n"),
            std::string::npos)
      << out.str();
}

TEST(StatusTextTest, RealsSayWhoTakesNewConnections) {
  const auto real = [](const char* address, const char* state, int in_ring,
                       int flows = 812) -> json {
    return {{"group", "temperature"}, {"real", address}, {"state", state},
            {"evacuated", false},     {"weight", 2},     {"effective_weight", in_ring},
            {"flows", flows},         {"routed", 0},     {"health", nullptr}};
  };
  json evacuated = real("10.1.3.104", "draining", 0, 30);
  evacuated["evacuated"] = true;
  evacuated["routed"] = 7;
  std::ostringstream out;
  print_reals(out,
              {real("10.1.3.101", "draining", 0), real("10.1.3.102", "enabled", 2),
               real("10.1.3.103", "dead", 2), evacuated, real("10.1.3.105", "draining", 0, 0)});
  EXPECT_EQ(out.str(),
            "group           real            state                  weight  in ring       flows"
            "    routed\n"
            "temperature     10.1.3.101      draining (812 left)         2        0         812"
            "         0\n"
            "temperature     10.1.3.102      enabled                     2        2         812"
            "         0\n"
            "temperature     10.1.3.103      dead                        2        2         812"
            "         0"
            "  takes new connections: the group has no other\n"
            "temperature     10.1.3.104      evacuating (37 left)        2        0          30"
            "         7\n"
            "temperature     10.1.3.105      drained                     2        0           0"
            "         0\n");
}

TEST(StatusTextTest, RealsSayWhatTheirChecksFound) {
  const auto found = [](bool alive, json last) -> json {
    return {{"group", "g"},
            {"real", "10.1.3.101"},
            {"state", alive ? "enabled" : "dead"},
            {"evacuated", false},
            {"weight", 1},
            {"effective_weight", alive ? 1 : 0},
            {"flows", 0},
            {"health", {{"alive", alive}, {"for_ms", 12'345}, {"last", std::move(last)}}}};
  };
  const auto last = [](bool good, const char* what) -> json {
    return {{"good", good}, {"what", what}, {"ms_ago", 70}};
  };
  const auto words = [&](const json& row) {
    std::ostringstream out;
    print_reals(out, json::array({row}));
    const std::string text = out.str();
    const auto begin = text.rfind("         0  ") + 12;
    return text.substr(begin, text.size() - 1 - begin);
  };
  EXPECT_EQ(words(found(true, last(true, "CONNACK"))), "alive 12 s");
  EXPECT_EQ(words(found(true, last(true, "connected"))), "alive 12 s");
  EXPECT_EQ(words(found(true, nullptr)), "alive 12 s, not checked yet");
  EXPECT_EQ(words(found(true, last(true, "CONNACK 5: not authorised"))),
            "alive 12 s (CONNACK 5: not authorised)");
  EXPECT_EQ(words(found(true, last(false, "no answer within 2 s"))),
            "alive 12 s: no answer within 2 s");
  EXPECT_EQ(words(found(false, last(false, "no answer within 2 s"))),
            "dead 12 s: no answer within 2 s");
}

TEST(UnitStatusTest, TheLineNamesFlowsConfigurationAndWhatIsWrong) {
  UnitFacts facts{.flows = 1204, .config_at = "12:04"};
  EXPECT_EQ(unit_status(facts), "1204 flows, config of 12:04 in force");

  facts.dead_reals = 1;
  EXPECT_EQ(unit_status(facts), "1204 flows, config of 12:04 in force, 1 real dead");

  facts.is_shadow = true;
  EXPECT_EQ(unit_status(facts), "SHADOW mode; 1204 flows, config of 12:04 in force, 1 real dead");

  facts = {.flows = 1,
           .config_at = "12:04",
           .was_refused = true,
           .dead_reals = 2,
           .problems = {"", "eth0 is down"}};
  EXPECT_EQ(
      unit_status(facts),
      "PROBLEM: eth0 is down; 1 flow, config of 12:04 in force (the last reload was REFUSED), "
      "2 reals dead");
}

}  // namespace
}  // namespace remora
