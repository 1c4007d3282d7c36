// SPDX-License-Identifier: Apache-2.0
//
// One question over the control socket.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>

namespace remora {

// How long a daemon may take to accept a connection or a request, or to go on with its answer.
constexpr std::chrono::milliseconds kPatience{10'000};

// Sends the request and waits for the answer. Throws std::runtime_error when there is no daemon, it
// does not answer in time or it refuses; of the socket's errors std::system_error.
nlohmann::ordered_json ask(const std::filesystem::path& socket,
                           const nlohmann::ordered_json& request,
                           std::chrono::milliseconds patience = kPatience);

// The process that listens there; nothing if none does, or not in time.
std::optional<pid_t> listener_of(const std::filesystem::path& socket);

}  // namespace remora
