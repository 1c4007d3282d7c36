// SPDX-License-Identifier: Apache-2.0
//
// Checks requests against the list of requests and passes them to their handlers.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "daemon/control/control.h"
#include "daemon/protocol/requests.h"

namespace remora {

// A request that changes something, and what came of it.
struct Order {
  const RequestKind& kind;
  const nlohmann::ordered_json& request;
  Peer peer;
  const nlohmann::ordered_json* answer;  // nullptr: it was refused
  std::string error;                     // why
};

class Dispatcher {
 public:
  using OnOrder = std::function<void(const Order&)>;

  // Gets a request whose arguments are there and of the right type. Throws std::exception that says
  // what is wrong with their values.
  using Handler = std::function<nlohmann::ordered_json(const nlohmann::ordered_json& request)>;
  using Handlers = std::map<std::string, Handler, std::less<>>;

  // Needs a handler for each request of the list. Throws std::logic_error otherwise.
  // `on_order` hears of each order after it was carried out or refused by its handler.
  explicit Dispatcher(
      Handlers handlers, OnOrder on_order = [](const Order&) {});

  // Throws std::runtime_error that says what is wrong with the request.
  nlohmann::ordered_json answer(const nlohmann::ordered_json& request, const Peer& peer) const;

 private:
  const Handlers handlers_;
  const OnOrder on_order_;
};

}  // namespace remora
