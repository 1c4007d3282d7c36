// SPDX-License-Identifier: Apache-2.0
//
// Explains decisions: why a client's connections go where they go, and to which group a topic
// belongs.
//
// The facts are read from the kernel's tables and the configuration in force, so they are those by
// which the packet path decides. They are JSON; in_sentences() turns them into words, and is pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "daemon/control/status.h"

namespace remora {

// Facts about a client: for each service what is known of it, and what its next connection will
// meet. With `topic`, also the route of that topic, and what a PUBLISH of it would meet. Throws
// std::runtime_error if the topic is invalid.
nlohmann::ordered_json facts_about(const StatusSources& sources, const Address& client,
                                   const std::optional<std::string>& topic);

// The routes that match a topic, and its group at each service. Throws std::runtime_error if the
// topic is invalid.
nlohmann::ordered_json route_of(const StatusSources& sources, const std::string& topic);

// Facts as sentences, one for each line.
std::vector<std::string> in_sentences(const nlohmann::ordered_json& facts);

}  // namespace remora
