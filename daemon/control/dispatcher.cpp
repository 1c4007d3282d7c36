// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/dispatcher.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "daemon/protocol/requests.h"

namespace remora {
namespace {

using json = nlohmann::ordered_json;

std::string in_quotes(std::string_view text) {
  return "\"" + std::string(text) + "\"";
}

[[noreturn]] void refuse(const std::string& why) {
  throw std::runtime_error(why);
}

const RequestKind& kind_of(const json& request) {
  const bool has_name =
      request.is_object() && request.contains("request") && request.at("request").is_string();
  if (!has_name)
    refuse("a request is a JSON object with a member \"request\": one of " + request_names());
  const auto name = request.at("request").get<std::string>();
  const RequestKind* kind = find_request(name);
  if (!kind) refuse("unknown request " + in_quotes(name) + "; known: " + request_names());
  return *kind;
}

bool has_type(const json& value, RequestArgument::Type type) {
  if (type == RequestArgument::Type::kText) return value.is_string();
  return value.is_number_integer() && value >= 1 && value <= kMostCount;
}

std::string describe(RequestArgument::Type type) {
  if (type == RequestArgument::Type::kText) return "a string";
  return "a whole number from 1 to " + std::to_string(kMostCount);
}

void check_arguments(const json& request, const RequestKind& kind) {
  for (const RequestArgument& argument : kind.arguments) {
    const auto found = request.find(argument.name);
    if (found == request.end()) {
      if (argument.is_required)
        refuse(in_quotes(kind.name) + " needs " + in_quotes(argument.name) + ": " +
               std::string(argument.meaning));
    } else if (!has_type(*found, argument.type)) {
      refuse(in_quotes(argument.name) + " of " + in_quotes(kind.name) + " must be " +
             describe(argument.type));
    }
  }
  for (const auto& [name, value] : request.items()) {
    const bool is_known =
        name == "request" ||
        std::ranges::find(kind.arguments, name, &RequestArgument::name) != kind.arguments.end();
    if (!is_known) refuse(in_quotes(kind.name) + " takes no " + in_quotes(name));
  }
}

bool may(const Peer& peer, Right right) {
  return right == Right::kLook || peer.uid == 0 || peer.uid == geteuid();
}

}  // namespace

Dispatcher::Dispatcher(Handlers handlers, OnOrder on_order)
    : handlers_(std::move(handlers)), on_order_(std::move(on_order)) {
  for (const RequestKind& kind : request_kinds()) {
    if (!handlers_.contains(kind.name))
      throw std::logic_error("no handler for the request " + in_quotes(kind.name));
  }
  for (const auto& [name, handler] : handlers_) {
    if (!find_request(name)) throw std::logic_error("a handler for no request: " + in_quotes(name));
  }
}

json Dispatcher::answer(const json& request, const Peer& peer) const {
  const RequestKind& kind = kind_of(request);
  if (!may(peer, kind.right))
    refuse(in_quotes(kind.name) + " is for root and the user that remorad runs as");
  check_arguments(request, kind);
  const Handler& handler = handlers_.find(kind.name)->second;
  if (kind.right != Right::kChange) return handler(request);
  json done;
  try {
    done = handler(request);
  } catch (const std::exception& error) {
    on_order_({kind, request, peer, nullptr, error.what()});
    throw;
  }
  on_order_({kind, request, peer, &done, ""});
  return done;
}

}  // namespace remora
