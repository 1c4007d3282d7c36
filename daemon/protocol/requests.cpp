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

constexpr RequestArgument kRealAndGroup[] = {kReal, kGroup};
constexpr RequestArgument kRealGroupAndRate[] = {kReal, kGroup, kPerSecond};

constexpr RequestKind kKinds[] = {
    {.name = "status",
     .command = "status",
     .arguments = {},
     .right = Right::kLook,
     .meaning = "programs, tables, groups, reals and counters"},
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
