// SPDX-License-Identifier: Apache-2.0
//
// The router by itself, for tests with real brokers and clients on this host:
//
//   router_alone PORT DEFAULT FILTER=PORT[,PORT…]…
//
// It listens on 127.0.0.1:PORT. Messages whose topic matches a filter go to one of its ports, all
// others to the port DEFAULT. It runs until its standard input is closed, and prints "ready" when
// it listens.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <sstream>

#include "daemon/base/socket_address.h"
#include "daemon/mqtt/topic_filter.h"
#include "daemon/router/worker.h"

namespace remora {
namespace {

struct Group {
  std::string filter;
  std::vector<std::uint16_t> ports;
};

std::uint16_t port_of(const std::string& text) {
  return static_cast<std::uint16_t>(std::stoul(text));
}

Group group_of(const std::string& text) {
  const std::size_t equals = text.find('=');
  Group group{text.substr(0, equals), {}};
  std::istringstream ports(text.substr(equals + 1));
  for (std::string port; std::getline(ports, port, ',');) group.ports.push_back(port_of(port));
  return group;
}

Fd listen_on(std::uint16_t port) {
  const SocketAddress address(*Address::parse("127.0.0.1"), port);
  Fd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const bool listens =
      bind(listener.get(), address.get(), address.size()) == 0 && listen(listener.get(), 1024) == 0;
  if (!listens) throw std::runtime_error("cannot listen on port " + std::to_string(port));
  return listener;
}

void run(const std::vector<std::string>& arguments) {
  std::vector<Group> groups{{"", {port_of(arguments.at(1))}}};
  for (std::size_t i = 2; i < arguments.size(); ++i) groups.push_back(group_of(arguments[i]));
  const auto route = [&groups](std::string_view topic) {
    for (router::GroupId group = 1; group < groups.size(); ++group) {
      if (filter_matches(groups[group].filter, topic)) return group;
    }
    return router::GroupId{0};
  };
  const router::Surroundings surroundings{
      .routing = {.default_group = 0,
                  .groups = {},
                  .group_of = route,
                  .home_of = [](std::string_view) { return std::nullopt; },
                  .name_of = [](router::GroupId) { return "further"; }},
      .real_for = [&groups](const router::OpenSession& attempt,
                            const Address&) -> std::optional<router::Approach> {
        const std::vector<std::uint16_t>& ports = groups[attempt.group].ports;
        const std::uint16_t port = ports[(attempt.key + attempt.attempt) % ports.size()];
        return router::Approach{Endpoint::at(*Address::parse("127.0.0.1"), port)};
      },
      .on_lesson = [](const Address&, const router::Learn&) {},
      .on_home = [](const Address&, const router::RememberHome&) {},
      .on_other_protocol = [](const Address&) {}};
  const router::Worker worker(listen_on(port_of(arguments.at(0))), router::Options{}, surroundings);
  std::cout << "ready" << std::endl;
  char byte = 0;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
}

}  // namespace
}  // namespace remora

int main(int argc, char** argv) {
  try {
    remora::run({argv + 1, argv + argc});
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "router_alone: " << error.what() << '\n';
    return 1;
  }
}
