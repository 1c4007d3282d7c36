// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/orders.h"

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

namespace remora {
namespace {

using json = nlohmann::ordered_json;

std::string in_words(std::size_t changes) {
  return std::to_string(changes) + (changes == 1 ? " change" : " changes");
}

std::string text_of(const json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

}  // namespace

Operation operation_of(const Order& order, std::int64_t at_ms) {
  Operation operation{.at_ms = at_ms,
                      .what = std::string(order.kind.name),
                      .uid = order.peer.uid,
                      .error = order.error};
  for (const auto& [name, value] : order.request.items()) {
    if (name == "request") continue;
    if (name == "real") {
      operation.real = text_of(value);
    } else if (name == "group") {
      operation.group = text_of(value);
    } else if (name == "client") {
      operation.client = text_of(value);
    } else {
      if (!operation.detail.empty()) operation.detail += ", ";
      operation.detail += name + " " + text_of(value);
    }
  }
  if (order.answer && order.answer->contains("changes"))
    operation.detail = in_words(order.answer->at("changes").size());
  return operation;
}

Operation operation_of(const ReloadResult& result, std::int64_t at_ms) {
  return {.at_ms = at_ms,
          .what = "reload",
          .detail = result.refusal ? "SIGHUP" : "SIGHUP, " + in_words(result.changes.size()),
          .error = result.refusal.value_or("")};
}

}  // namespace remora
