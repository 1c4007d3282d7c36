// SPDX-License-Identifier: Apache-2.0
//
// What the checks of the router (docs/router.md) judge.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <vector>

#include "cli/doctor/facts.h"
#include "daemon/base/endpoint.h"
#include "daemon/config/config.h"

namespace remora::doctor {

// A service whose unknown clients the router serves.
struct RoutedService {
  Endpoint at;
  Fact<RouteAnswer> way;  // of a client's segment that arrives on the interface
};

std::vector<RoutedService> look_at_routed_services(const Config& config, unsigned interface_index,
                                                   const std::optional<Address>& client);

// Where the router connects to, without reals that `reals` of the status calls dead.
std::set<Endpoint> brokers_of_router(const Config& config, const nlohmann::ordered_json& reals);

// Opens a connection to each, and closes it: 0 or errno. Takes a second at most.
std::map<Endpoint, int> connect_to_all(const std::set<Endpoint>& brokers);

}  // namespace remora::doctor
