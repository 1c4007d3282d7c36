// SPDX-License-Identifier: Apache-2.0
#include "cli/client.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <system_error>

#include "daemon/base/fd.h"

namespace remora {
namespace {

// EAGAIN means that the time limit has passed.
[[noreturn]] void fail(const std::filesystem::path& path, const char* what) {
  if (errno == EAGAIN) {
    throw NoAnswer("remorad is there, but does not answer (" + path.string() +
                   "); see systemctl status remora");
  }
  throw std::system_error(errno, std::generic_category(),
                          std::string(what) + " (" + path.string() + ")");
}

sockaddr_un address_of(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.native().size() >= sizeof(address.sun_path)) {
    throw std::runtime_error("the path of the control socket is too long: " + path.string());
  }
  path.native().copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

// Throws std::system_error if nobody listens, NoAnswer if nobody accepts.
Fd connected_to(const std::filesystem::path& path, std::chrono::milliseconds patience) {
  const sockaddr_un address = address_of(path);
  Fd stream(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval step{patience.count() / 1000, patience.count() % 1000 * 1000};
  setsockopt(stream.get(), SOL_SOCKET, SO_RCVTIMEO, &step, sizeof(step));
  setsockopt(stream.get(), SOL_SOCKET, SO_SNDTIMEO, &step, sizeof(step));  // for connect(), too
  if (connect(stream.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    fail(path, "no remorad answers");
  }
  return stream;
}

}  // namespace

std::optional<pid_t> listener_of(const std::filesystem::path& path) {
  try {
    const Fd stream = connected_to(path, kPatience);
    ucred credentials{};
    socklen_t size = sizeof(credentials);
    if (getsockopt(stream.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
      return std::nullopt;
    return credentials.pid;
  } catch (const std::runtime_error&) {
    return std::nullopt;
  }
}

nlohmann::ordered_json ask(const std::filesystem::path& path, const nlohmann::ordered_json& request,
                           std::chrono::milliseconds patience) {
  const Fd stream = connected_to(path, patience);
  const std::string line = request.dump() + "\n";
  if (send(stream.get(), line.data(), line.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(line.size())) {
    fail(path, "cannot ask");
  }
  std::string text;
  std::array<char, 65536> chunk{};
  while (!text.ends_with('\n')) {
    const ssize_t got = recv(stream.get(), chunk.data(), chunk.size(), 0);
    if (got < 0) fail(path, "no answer");
    if (got == 0) throw std::runtime_error("remorad closed the connection");
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
  nlohmann::ordered_json answer = nlohmann::ordered_json::parse(text);
  if (!answer.value("ok", false)) {
    throw std::runtime_error(answer.value("error", "refused"));
  }
  answer.erase("ok");
  return answer;
}

}  // namespace remora
