// SPDX-License-Identifier: Apache-2.0
//
// Sends one request over the control socket and returns the answer.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stdexcept>

namespace remora {

// How long a daemon may take to accept a connection or a request, or to go on with its answer.
constexpr std::chrono::milliseconds kPatience{10'000};

// A daemon is there but does not answer in time, for example because its process is stopped.
class NoAnswer : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Sends the request and waits for the answer. Throws std::system_error when there is no daemon or
// the socket fails, NoAnswer when the daemon does not answer in time, std::runtime_error when it
// refuses.
nlohmann::ordered_json ask(const std::filesystem::path& socket,
                           const nlohmann::ordered_json& request,
                           std::chrono::milliseconds patience = kPatience);

// The process that listens there; no value if none does, or not in time.
std::optional<pid_t> listener_of(const std::filesystem::path& socket);

}  // namespace remora
