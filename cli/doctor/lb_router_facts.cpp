// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/lb_router_facts.h"

#include <netinet/in.h>  // before the kernel's, which then agree with it
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>
#include <vector>

#include "bpf/parse.h"
#include "cli/doctor/host.h"
#include "daemon/base/fd.h"
#include "daemon/base/socket_address.h"

namespace remora::doctor {
namespace {

using namespace std::chrono_literals;

// A broker in the same network answers in a millisecond.
constexpr auto kPatience = 1s;

struct Attempt {
  Endpoint at;
  Fd socket;
};

// 0, EINPROGRESS or the reason why not.
int begin(Attempt& attempt) {
  const SocketAddress address(attempt.at.address, net_to_host16(attempt.at.port));
  attempt.socket = Fd(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!attempt.socket) return errno;
  return connect(attempt.socket.get(), address.get(), address.size()) == 0 ? 0 : errno;
}

int error_of(const Fd& socket) {
  int error = 0;
  socklen_t size = sizeof(error);
  return getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

}  // namespace

std::map<Endpoint, int> connect_to_all(const std::set<Endpoint>& brokers) {
  std::map<Endpoint, int> results;
  std::vector<Attempt> waiting;
  for (const Endpoint& at : brokers) {
    Attempt attempt{at, Fd()};
    results[at] = begin(attempt);
    if (results[at] == EINPROGRESS) waiting.push_back(std::move(attempt));
  }
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!waiting.empty()) {
    std::vector<pollfd> polled;
    for (const Attempt& attempt : waiting) polled.push_back({attempt.socket.get(), POLLOUT, 0});
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    if (left <= 0ms || poll(polled.data(), polled.size(), static_cast<int>(left.count())) <= 0)
      break;
    for (std::size_t i = waiting.size(); i-- > 0;) {
      if (polled[i].revents == 0) continue;
      results[waiting[i].at] = error_of(waiting[i].socket);
      waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  for (const Attempt& attempt : waiting) results[attempt.at] = ETIMEDOUT;
  return results;
}

std::set<Endpoint> brokers_of_router(const Config& config, const nlohmann::ordered_json& reals) {
  const auto is_dead = [&](const Address& real) {
    return std::ranges::any_of(reals, [&](const auto& row) {
      return row.value("state", "") == "dead" && row.value("real", "") == to_string(real);
    });
  };
  std::set<Endpoint> brokers;
  for (const Service& service : config.services) {
    if (service.unknown_clients != UnknownClients::kRouter) continue;
    for (const Group& group : config.groups) {
      for (const Real& real : group.reals) {
        if (!is_dead(real.address)) brokers.insert(router_endpoint(service, group, real));
      }
    }
  }
  return brokers;
}

std::vector<RoutedService> look_at_routed_services(const Config& config, unsigned interface_index,
                                                   const std::optional<Address>& client) {
  std::vector<RoutedService> all;
  for (const Service& service : config.services) {
    if (service.unknown_clients != UnknownClients::kRouter) continue;
    RoutedService& seen = all.emplace_back(RoutedService{.at = service.at(), .way = {}});
    if (!client || client->is_ipv4() != service.address.is_ipv4()) {
      seen.way.why_not = "no client's address of this family is known";
      continue;
    }
    seen.way = look([&] { return route_of_tcp_arrival(*client, service.at(), interface_index); });
  }
  return all;
}

}  // namespace remora::doctor
