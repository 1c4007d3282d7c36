// SPDX-License-Identifier: Apache-2.0
//
// One question over the control socket.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>

namespace remora {

// Sends the request and waits for the answer, a few seconds at most. Throws
// std::runtime_error when there is no daemon or it refuses; of the socket's errors
// std::system_error.
nlohmann::ordered_json ask(const std::filesystem::path& socket,
                           const nlohmann::ordered_json& request);

// The process that listens there; nothing if none does.
std::optional<pid_t> listener_of(const std::filesystem::path& socket);

}  // namespace remora
