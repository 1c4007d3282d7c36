// SPDX-License-Identifier: Apache-2.0
#include "daemon/protocol/requests.h"

#include <algorithm>

namespace remora {
namespace {

using Type = RequestArgument::Type;

constexpr RequestArgument kReal = {.name = "real",
                                   .option = "address",
                                   .type = Type::kText,
                                   .is_required = true,
                                   .meaning = "the broker's address"};
constexpr RequestArgument kGroup = {.name = "group",
                                    .option = "--group",
                                    .type = Type::kText,
                                    .is_required = false,
                                    .meaning = "only in this group; by default in all of its"};
constexpr RequestArgument kPerSecond = {.name = "per_second",
                                        .option = "--per-second",
                                        .type = Type::kCount,
                                        .is_required = true,
                                        .meaning = "connections that leave per second"};

constexpr RequestArgument kClient = {.name = "client",
                                     .option = "address",
                                     .type = Type::kText,
                                     .is_required = true,
                                     .meaning = "the client's address"};
constexpr RequestArgument kTopic = {.name = "topic",
                                    .option = "topic",
                                    .type = Type::kText,
                                    .is_required = true,
                                    .meaning = "a topic name, without wildcards"};
constexpr RequestArgument kAnyTopic = {.name = "topic",
                                       .option = "--topic",
                                       .type = Type::kText,
                                       .is_required = false,
                                       .meaning = "what a PUBLISH to this topic would meet"};

constexpr RequestArgument kTopicAlone[] = {kTopic};
constexpr RequestArgument kClientAndTopic[] = {kClient, kAnyTopic};
constexpr RequestArgument kRealAndGroup[] = {kReal, kGroup};
constexpr RequestArgument kRealGroupAndRate[] = {kReal, kGroup, kPerSecond};

constexpr RequestKind kKinds[] = {
    {.name = "status",
     .command = "status",
     .arguments = {},
     .right = Right::kLook,
     .meaning = "programs, tables, groups, reals and counters"},
    {.name = "ready",
     .command = "ready",
     .arguments = {},
     .right = Right::kLook,
     .meaning = "whether packets of clients reach brokers, and if not, why"},
    {.name = "explain",
     .command = "explain",
     .arguments = kClientAndTopic,
     .right = Right::kLook,
     .meaning = "why a client's connections go where they go"},
    {.name = "services",
     .command = "services",
     .arguments = {},
     .right = Right::kLook,
     .meaning = "the services, and where unknown clients go"},
    {.name = "groups",
     .command = "groups",
     .arguments = {},
     .right = Right::kLook,
     .meaning = "the groups, with policy, reals and PUBLISHes"},
    {.name = "routes",
     .command = "routes list",
     .arguments = {},
     .right = Right::kLook,
     .meaning = "the routes, the most specific first"},
    {.name = "route",
     .command = "routes test",
     .arguments = kTopicAlone,
     .right = Right::kLook,
     .meaning = "the group of a topic, and the routes that match it"},
    {.name = "config",
     .command = "",
     .arguments = {},
     .right = Right::kLookDeep,
     .meaning = "the configuration file in force, its path and its text"},
    {.name = "reload",
     .command = "reload",
     .arguments = {},
     .right = Right::kChange,
     .meaning = "read the configuration file again; fails if it cannot be taken"},
    {.name = "reals",
     .command = "reals list",
     .arguments = {},
     .right = Right::kLook,
     .meaning = "every broker with state, weight, flows and health"},
    {.name = "drain",
     .command = "reals drain",
     .arguments = kRealAndGroup,
     .right = Right::kChange,
     .meaning = "a broker takes no new connections; existing ones stay"},
    {.name = "evacuate",
     .command = "reals evacuate",
     .arguments = kRealGroupAndRate,
     .right = Right::kChange,
     .meaning = "drain a broker, and make its existing connections come back elsewhere"},
    {.name = "enable",
     .command = "reals enable",
     .arguments = kRealAndGroup,
     .right = Right::kChange,
     .meaning = "a broker takes new connections again"},
};

}  // namespace

std::span<const RequestKind> request_kinds() {
  return kKinds;
}

const RequestKind* find_request(std::string_view name) {
  const auto* found = std::ranges::find(kKinds, name, &RequestKind::name);
  return found == std::end(kKinds) ? nullptr : found;
}

std::string request_names() {
  std::string names;
  for (const RequestKind& kind : kKinds) {
    if (!names.empty()) names += ", ";
    names += kind.name;
  }
  return names;
}

}  // namespace remora
