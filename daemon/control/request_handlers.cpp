// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/request_handlers.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "log/fields.h"

namespace remora {
namespace {

using json = nlohmann::ordered_json;

Address real_in(const json& request) {
  const auto text = request.at("real").get<std::string>();
  const auto real = Address::parse(text);
  if (!real) throw std::runtime_error("\"" + text + "\" is no IPv4 or IPv6 address");
  return *real;
}

std::optional<std::string> group_in(const json& request) {
  if (!request.contains("group")) return std::nullopt;
  return request.at("group").get<std::string>();
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
  handlers["reals"] = [sources, &admin](const json&) -> json {
    admin.require_our_reals();
    return {{"reals", reals_of(sources())}};
  };
  handlers["drain"] = [sources, &admin](const json& request) {
    const Address real = real_in(request);
    const auto groups = admin.drain(real, group_in(request));
    return changed_reals(sources(), real, groups);
  };
  handlers["evacuate"] = [sources, &admin](const json& request) {
    const Address real = real_in(request);
    const auto per_second = request.at("per_second").get<std::uint32_t>();
    const auto groups = admin.evacuate(real, group_in(request), per_second);
    return changed_reals(sources(), real, groups);
  };
  handlers["enable"] = [sources, &admin](const json& request) {
    const Address real = real_in(request);
    const auto groups = admin.enable(real, group_in(request));
    return changed_reals(sources(), real, groups);
  };
  return handlers;
}

}  // namespace remora
