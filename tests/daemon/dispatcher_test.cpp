// SPDX-License-Identifier: Apache-2.0
//
// Requests are checked against their list before a handler sees them.
#include "daemon/control/dispatcher.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "daemon/control/orders.h"
#include "daemon/protocol/requests.h"

namespace remora {
namespace {

using json = nlohmann::ordered_json;

const Peer kRoot{0};
const Peer kStranger{geteuid() + 4711};

// Answers each request with the request itself.
Dispatcher::Handlers echoes() {
  Dispatcher::Handlers handlers;
  for (const RequestKind& kind : request_kinds())
    handlers[std::string(kind.name)] = [](const json& request) { return request; };
  return handlers;
}

std::string refusal_of(const json& request, const Peer& peer = kRoot) {
  try {
    Dispatcher(echoes()).answer(request, peer);
    return "none";
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

TEST(DispatcherTest, AValidRequestReachesItsHandler) {
  const json request = {{"request", "evacuate"}, {"real", "10.1.3.101"}, {"per_second", 50}};

  EXPECT_EQ(Dispatcher(echoes()).answer(request, kRoot), request);
}

TEST(DispatcherTest, ARefusalSaysWhatIsWrong) {
  const std::string names =
      "status, ready, explain, services, groups, routes, route, config, reload, reals, drain, "
      "evacuate, enable";
  const std::pair<json, std::string> cases[] = {
      {json::array(), "a request is a JSON object with a member \"request\": one of " + names},
      {json::object(), "a request is a JSON object with a member \"request\": one of " + names},
      {{{"request", 1}}, "a request is a JSON object with a member \"request\": one of " + names},
      {{{"request", "reboot"}}, "unknown request \"reboot\"; known: " + names},
      {{{"request", "drain"}}, "\"drain\" needs \"real\": the broker's address"},
      {{{"request", "drain"}, {"real", 7}}, "\"real\" of \"drain\" must be a string"},
      {{{"request", "drain"}, {"real", "::1"}, {"reel", 1}}, "\"drain\" takes no \"reel\""},
      {{{"request", "evacuate"}, {"real", "::1"}},
       "\"evacuate\" needs \"per_second\": connections that leave per second"},
  };
  for (const auto& [request, refusal] : cases) EXPECT_EQ(refusal_of(request), refusal);
}

TEST(DispatcherTest, ACountIsAWholeNumberInItsRange) {
  const auto with = [](const json& per_second) {
    return json{{"request", "evacuate"}, {"real", "::1"}, {"per_second", per_second}};
  };
  for (const json& good : {json(1), json(1'000'000)}) EXPECT_EQ(refusal_of(with(good)), "none");
  for (const json& bad : {json(0), json(-1), json(1'000'001), json(1.5), json("7"), json(nullptr),
                          json(~std::uint64_t{0})}) {
    EXPECT_EQ(refusal_of(with(bad)),
              "\"per_second\" of \"evacuate\" must be a whole number from 1 to 1000000")
        << bad;
  }
}

TEST(DispatcherTest, AStrangerMayLookAndNotChange) {
  EXPECT_EQ(refusal_of({{"request", "status"}}, kStranger), "none");
  EXPECT_EQ(refusal_of({{"request", "drain"}, {"real", "::1"}}, kStranger),
            "\"drain\" is for root and the user that remorad runs as");
  EXPECT_EQ(refusal_of({{"request", "drain"}, {"real", "::1"}}, {geteuid()}), "none");
}

TEST(DispatcherTest, OrdersAreHeardOfWithTheirResultAndQuestionsAreNot) {
  auto handlers = echoes();
  handlers["enable"] = [](const json&) -> json { throw std::runtime_error("no such real"); };
  handlers["reload"] = [](const json&) -> json { return {{"changes", {"a", "b"}}}; };
  std::vector<std::string> heard;
  const Dispatcher dispatcher(handlers, [&](const Order& order) {
    const Operation done = operation_of(order, 0);
    heard.push_back(done.what + " by " + std::to_string(done.uid.value()) + ": " + done.real +
                    ", " + done.group + ", " + done.detail + ", " + done.error);
  });

  dispatcher.answer({{"request", "status"}}, kRoot);
  dispatcher.answer({{"request", "config"}}, kRoot);
  EXPECT_THROW(dispatcher.answer({{"request", "reload"}}, kStranger), std::runtime_error);
  dispatcher.answer({{"request", "evacuate"}, {"real", "::1"}, {"group", "g"}, {"per_second", 9}},
                    {geteuid()});
  EXPECT_THROW(dispatcher.answer({{"request", "enable"}, {"real", "::1"}}, kRoot),
               std::runtime_error);
  dispatcher.answer({{"request", "reload"}}, kRoot);

  EXPECT_EQ(heard, (std::vector<std::string>{
                       "evacuate by " + std::to_string(geteuid()) + ": ::1, g, per_second 9, ",
                       "enable by 0: ::1, , , no such real", "reload by 0: , , 2 changes, "}));
}

TEST(DispatcherTest, EveryRequestHasAHandlerAndNoOther) {
  Dispatcher::Handlers too_few = echoes(), too_many = echoes();
  too_few.erase("drain");
  too_many["reboot"] = too_many["drain"];

  EXPECT_NO_THROW(Dispatcher{echoes()});
  EXPECT_THROW(Dispatcher{too_few}, std::logic_error);
  EXPECT_THROW(Dispatcher{too_many}, std::logic_error);
}

// A row of the table in docs/control.md.
std::string documented(const RequestKind& kind) {
  std::string arguments;
  for (const RequestArgument& argument : kind.arguments) {
    if (!arguments.empty()) arguments += ", ";
    arguments += "`" + std::string(argument.name) + "`";
    if (!argument.is_required) arguments += " (optional)";
  }
  const std::string command(kind.command);
  const auto cell = [](const std::string& text) { return text.empty() ? " |" : " " + text + " |"; };
  return "|" + cell("`" + std::string(kind.name) + "`") + cell(arguments) +
         cell(command.empty() ? "" : "`" + command + "`") +
         cell(kind.right == Right::kLook ? "all who can open the socket"
                                         : "root and remorad's user") +
         cell(std::string(kind.meaning));
}

TEST(DispatcherTest, TheDocumentationHasEveryRequestInItsOrder) {
  std::ifstream file(REMORA_SOURCE_DIR "/docs/control.md");
  std::vector<std::string> rows, expected;
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("| `")) rows.push_back(line);
  for (const RequestKind& kind : request_kinds()) expected.push_back(documented(kind));

  EXPECT_EQ(rows, expected);
}

}  // namespace
}  // namespace remora
