// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/request_handlers.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "daemon/control/explanation.h"
#include "daemon/mqtt/topic_filter.h"
#include "log/fields.h"

namespace remora {
namespace {

using json = nlohmann::ordered_json;

Address address_in(const json& request, const char* argument) {
  const auto text = request.at(argument).get<std::string>();
  const auto address = Address::parse(text);
  if (!address) throw std::runtime_error("\"" + text + "\" is no IPv4 or IPv6 address");
  return *address;
}

std::optional<std::string> text_in(const json& request, const char* argument) {
  if (!request.contains(argument)) return std::nullopt;
  return request.at(argument).get<std::string>();
}

json services_of(const Config& config) {
  json all = json::array();
  for (const Service& service : config.services) {
    all.push_back({{"name", service.name},
                   {"service", to_string(service.at())},
                   {"default_group", service.default_group},
                   {"unknown_clients",
                    service.unknown_clients == UnknownClients::kRouter ? "router" : "default"}});
  }
  return all;
}

// The most specific first. Filters that match no common topic have no such order; they are in that
// of their text.
json routes_of(const Config& config) {
  std::vector<const Route*> routes;
  for (const Route& route : config.routes) routes.push_back(&route);
  std::ranges::stable_sort(routes, [](const Route* left, const Route* right) {
    return is_more_specific(left->filter, right->filter);
  });
  json all = json::array();
  for (const Route* route : routes)
    all.push_back({{"filter", route->filter}, {"group", route->group}, {"line", route->line}});
  return all;
}

// The facts, and the sentences that they make.
json explained(json facts) {
  facts["sentences"] = in_sentences(facts);
  return facts;
}

// The real's present state, in each group that was changed.
json changed_reals(const StatusSources& sources, const Address& real,
                   const std::vector<std::string>& groups) {
  json changed = json::array();
  for (const json& row : reals_of(sources)) {
    const auto group = row.at("group").get<std::string>();
    const bool is_meant = std::ranges::find(groups, group) != groups.end() &&
                          row.at("real").get<std::string>() == to_string(real);
    if (!is_meant) continue;
    log::With({{"REAL", to_string(real)}, {"GROUP", group}})
        .info("real {} of group {} is {}", to_string(real), group,
              row.at("state").get<std::string>());
    changed.push_back(row);
  }
  return {{"reals", changed}};
}

}  // namespace

Dispatcher::Handlers request_handlers(const std::function<StatusSources()>& sources,
                                      RealsAdmin& admin, std::function<ReloadResult()> reload) {
  Dispatcher::Handlers handlers;
  handlers["status"] = [sources](const json&) { return status_of(sources()); };
  handlers["config"] = [sources](const json&) -> json {
    const Config& config = sources().config;
    return {{"file", config.file}, {"text", config.text}};
  };
  handlers["reload"] = [sources, reload = std::move(reload)](const json&) -> json {
    const ReloadResult result = reload();
    if (result.refusal)
      throw std::runtime_error("reload REFUSED, the old configuration is in force: " +
                               *result.refusal);
    return {{"file", sources().config.file}, {"changes", result.changes}};
  };
  handlers["ready"] = [sources](const json&) { return readiness_of(sources()); };
  handlers["explain"] = [sources](const json& request) {
    return explained(
        facts_about(sources(), address_in(request, "client"), text_in(request, "topic")));
  };
  handlers["services"] = [sources](const json&) -> json {
    return {{"services", services_of(sources().config)}};
  };
  handlers["groups"] = [sources](const json&) -> json {
    return {{"groups", groups_of(sources())}};
  };
  handlers["routes"] = [sources](const json&) -> json {
    return {{"routes", routes_of(sources().config)}};
  };
  handlers["route"] = [sources](const json& request) {
    return explained(route_of(sources(), request.at("topic").get<std::string>()));
  };
  handlers["reals"] = [sources, &admin](const json&) -> json {
    admin.require_our_reals();
    return {{"reals", reals_of(sources())}};
  };
  handlers["drain"] = [sources, &admin](const json& request) {
    const Address real = address_in(request, "real");
    const auto groups = admin.drain(real, text_in(request, "group"));
    return changed_reals(sources(), real, groups);
  };
  handlers["evacuate"] = [sources, &admin](const json& request) {
    const Address real = address_in(request, "real");
    const auto per_second = request.at("per_second").get<std::uint32_t>();
    const auto groups = admin.evacuate(real, text_in(request, "group"), per_second);
    return changed_reals(sources(), real, groups);
  };
  handlers["enable"] = [sources, &admin](const json& request) {
    const Address real = address_in(request, "real");
    const auto groups = admin.enable(real, text_in(request, "group"));
    return changed_reals(sources(), real, groups);
  };
  return handlers;
}

}  // namespace remora
