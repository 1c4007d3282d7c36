// SPDX-License-Identifier: Apache-2.0
//
// The sentences of `remoractl explain` and `remoractl routes test`.
#include "daemon/control/explanation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace remora {
namespace {

using json = nlohmann::ordered_json;

// A client that goes to the group temperature, as predicted.
json predicted() {
  return {{"service", "10.1.50.200:1883"},
          {"name", "mqtt"},
          {"default_group", "rest"},
          {"prediction", {{"group", "temperature"}, {"configured", true}, {"learned_s_ago", 75}}},
          {"way", nullptr},
          {"connections", 0},
          {"connections_limit", 1024},
          {"resets_in_a_minute", 0},
          {"resets_limit", 3},
          {"changing", false},
          {"next",
           {{"to", "group"},
            {"because", "predicted"},
            {"group", "temperature"},
            {"reals", {{{"real", "10.1.3.101"}, {"weight", 1}}}},
            {"asked", false}}}};
}

json with_publish(const char* action) {
  json facts = predicted();
  facts["publish"] = {{"group", "humidity"}, {"action", action}};
  return {{"client", "10.1.1.7"}, {"topic", "h"}, {"services", {facts}}};
}

bool has(const json& facts, const std::string& sentence) {
  const auto lines = in_sentences(facts);
  return std::ranges::find(lines, sentence) != lines.end();
}

std::vector<std::string> lines_of(const json& facts) {
  return in_sentences({{"client", "10.1.1.7"}, {"services", {facts}}});
}

TEST(ExplanationTest, APredictedClientIsToldFromItsLessonToItsReal) {
  EXPECT_EQ(lines_of(predicted()),
            (std::vector<std::string>{
                "Service mqtt (10.1.50.200:1883):",
                "Its last lesson is 1 min 15 s old: it published a topic of group temperature.",
                "Its next connection goes to group temperature, as predicted.",
                "There it gets the real 10.1.3.101."}));
}

TEST(ExplanationTest, AnUnknownClientGoesToTheDefaultGroup) {
  json facts = predicted();
  facts["prediction"] = nullptr;
  facts["next"]["because"] = "unknown";
  facts["next"]["group"] = "rest";
  facts["next"]["reals"] = json::array();

  EXPECT_EQ(lines_of(facts),
            (std::vector<std::string>{
                "Service mqtt (10.1.50.200:1883):",
                "It has no prediction: it has not published here yet, or was forgotten for others.",
                "Its next connection goes to group rest, the default group of the service.",
                "No real of the group takes new connections: packets are dropped."}));
}

TEST(ExplanationTest, ShadowModeIsToldFirst) {
  const json facts = {{"client", "10.1.1.7"}, {"shadow", true}, {"services", json::array()}};

  EXPECT_EQ(in_sentences(facts),
            (std::vector<std::string>{"Shadow mode: each group has the reals of the default group, "
                                      "and no connection is reset or dropped."}));
}

TEST(ExplanationTest, SeveralRealsHaveShares) {
  json facts = predicted();
  facts["next"]["reals"].push_back({{"real", "10.1.3.102"}, {"weight", 3}});

  EXPECT_EQ(lines_of(facts).back(),
            "There the ring picks the real by the client's address and port, in these shares: "
            "10.1.3.101 (1 of 4), 10.1.3.102 (3 of 4).");
}

TEST(ExplanationTest, EachReasonForTheRouterHasItsSentence) {
  json facts = predicted();
  for (const auto& [because, words] : {std::pair{"unknown", "without a prediction"},
                                       {"several_groups", "several groups"},
                                       {"changing", "keeps moving between groups"}}) {
    facts["next"] = {{"to", "router"}, {"because", because}};
    EXPECT_NE(lines_of(facts).back().find(words), std::string::npos) << lines_of(facts).back();
  }
}

TEST(ExplanationTest, APublishMeetsThePolicyOfItsGroupAndTheLimits) {
  const std::string wrong =
      "A PUBLISH to \"h\" there is a mispredict: the topic belongs to group humidity. ";
  const std::string stays =
      wrong + "The connection stays, and its messages reach the wrong group, ";

  EXPECT_TRUE(has(with_publish("sent"),
                  "A PUBLISH to \"h\" there is right: the topic belongs to group humidity."));
  EXPECT_TRUE(has(with_publish("routed"),
                  "A PUBLISH to \"h\" there is sent by the router to group humidity."));
  EXPECT_TRUE(has(with_publish("reset"),
                  wrong + "The PUBLISH is withheld, the connection is reset (policy reset of "
                          "humidity), and the client's next connection goes to humidity."));
  EXPECT_TRUE(has(with_publish("drop"),
                  wrong + "The connection is silenced (policy drop of humidity); the next one goes "
                          "to humidity."));
  EXPECT_TRUE(has(with_publish("keep"), stays + "by policy keep of humidity."));
  EXPECT_TRUE(has(with_publish("kept_over_limit"),
                  stays + "because the client was reset too often in the last minute."));
  EXPECT_TRUE(has(with_publish("kept_changing"),
                  stays + "because its address keeps moving between groups."));
}

TEST(ExplanationTest, ConnectionsAndLimitsAreToldIfTheyMatter) {
  json facts = predicted();
  facts["connections"] = 1;
  facts["resets_in_a_minute"] = 2;
  facts["changing"] = true;

  const auto lines = lines_of(facts);

  ASSERT_EQ(lines.size(), 7U);
  EXPECT_EQ(lines[4],
            "It has 1 tracked connection now, of at most 1024. These stay where they are: only a "
            "new connection follows the prediction.");
  EXPECT_EQ(lines[5], "It was reset 2 times in the last minute; after 3 its connections are kept.");
}

TEST(ExplanationTest, ARouteNamesWhatItBeat) {
  const auto route = [](const char* filter) -> json {
    return {{"filter", filter}, {"group", "temperature"}, {"line", 12}};
  };
  json facts = {{"topic", "a/b"}, {"routes", {route("a/b")}}, {"groups", json::array()}};
  EXPECT_EQ(in_sentences(facts).front(),
            "\"a/b\" follows the route \"a/b\" (line 12 of the configuration) to group "
            "temperature.");

  for (int i = 0; i < 7; ++i) facts["routes"].push_back(route("#"));
  EXPECT_NE(in_sentences(facts).front().find("It is more specific than \"#\", \"#\", \"#\", \"#\", "
                                             "\"#\" and 2 more, which match as well."),
            std::string::npos)
      << in_sentences(facts).front();

  facts["routes"] = json::array();
  EXPECT_EQ(in_sentences(facts).front(),
            "No route matches \"a/b\", so it belongs to the default group of its service.");
}

}  // namespace
}  // namespace remora
