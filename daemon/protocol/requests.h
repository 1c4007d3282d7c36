// SPDX-License-Identifier: Apache-2.0
//
// The requests of the control socket: the only list of them. Pure.
//
// The daemon checks requests against it (daemon/control/dispatcher.h), remoractl makes its
// subcommands from it, and a test compares docs/control.md with it. A new request needs a row here,
// a handler in daemon/control/request_handlers.cpp and a row in docs/control.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace remora {

// The right that a request needs.
enum class Right : std::uint8_t {
  kLook,      // everybody who can open the socket
  kLookDeep,  // root, and the user that remorad runs as
  kChange,    // the same; the history remembers each
};

struct RequestArgument {
  enum class Type : std::uint8_t {
    kText,
    kCount,  // a whole number from 1 to kMostCount
  };

  std::string_view name;    // in the request
  std::string_view option;  // remoractl's option; without dashes: a positional word
  Type type;
  bool is_required;
  std::string_view meaning;
};

inline constexpr std::int64_t kMostCount = 1'000'000;

struct RequestKind {
  std::string_view name;
  std::string_view command;  // its words after remoractl; empty: it has no command
  std::span<const RequestArgument> arguments;
  Right right;
  std::string_view meaning;  // the answer or the effect
};

std::span<const RequestKind> request_kinds();

// nullptr for an unknown name.
const RequestKind* find_request(std::string_view name);

// "status, reals, …", for messages.
std::string request_names();

}  // namespace remora
