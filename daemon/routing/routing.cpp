// SPDX-License-Identifier: Apache-2.0
#include "daemon/routing/routing.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "bpf/parse.h"
#include "daemon/base/callback.h"
#include "daemon/base/clock.h"
#include "daemon/base/socket_address.h"
#include "daemon/kernel/router_routes.h"
#include "log/log.h"

namespace remora {
namespace {

constexpr __u32 kOnly = 0;
constexpr int kBacklog = 4096;  // the kernel's default limit
// A worker that has not handled its timers for so long gets no connections.
constexpr router::Time kStalled{2'000};
constexpr std::size_t kMiB = 1024 * 1024;

[[noreturn]] void fail(const Endpoint& at, const char* what) {
  throw std::runtime_error("the router cannot listen at " + to_string(at) + ": " + what + ": " +
                           std::strerror(errno));
}

void require(int result, const Endpoint& at, const char* what) {
  if (result != 0) fail(at, what);
}

void set_option(const Fd& fd, int level, int name, const Endpoint& at) {
  const int on = 1;
  require(setsockopt(fd.get(), level, name, &on, sizeof(on)), at, "setsockopt");
}

// Listens at an address that this host need not have.
Fd listen_at(const Endpoint& at) {
  const SocketAddress address(at.address, net_to_host16(at.port));
  Fd fd(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) fail(at, "socket");
  set_option(fd, SOL_SOCKET, SO_REUSEADDR, at);
  if (at.address.is_ipv4()) {
    set_option(fd, IPPROTO_IP, IP_TRANSPARENT, at);
  } else {
    set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, at);
    set_option(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, at);
  }
  require(bind(fd.get(), address.get(), address.size()), at, "bind");
  require(listen(fd.get(), kBacklog), at, "listen");
  return fd;
}

Fd copy_of(const Fd& fd, const Endpoint& at) {
  Fd copy(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) fail(at, "dup");
  return copy;
}

// Each connection takes one descriptor, and each of its sessions another one.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

router::Options options_of(const Router& config) {
  router::Options options;
  options.further_sessions = config.further_sessions == FurtherSessions::kSuffixedId
                                 ? router::FurtherSessions::kSuffixedId
                                 : router::FurtherSessions::kSameId;
  options.subscribe =
      config.subscribe == SubscribeTo::kAll ? router::Subscribe::kAll : router::Subscribe::kHome;
  return options;
}

std::vector<Endpoint> endpoints_of(const auto& doors) {
  std::vector<Endpoint> endpoints;
  for (const auto& [at, door] : doors) endpoints.push_back(at);
  return endpoints;
}

}  // namespace

// ---- the view of the workers

router::GroupId Routing::View::group_of(std::string_view topic) const {
  const auto* at = matching->find(service);
  if (at == nullptr) return default_group;
  return matching->number_of(matching->group_for(*at, topic)).value_or(default_group);
}

bool Routing::View::has_same_reals(const View& other) const {
  return reals == other.reals && dead == other.dead && evacuated == other.evacuated &&
         evictions_per_second == other.evictions_per_second;
}

std::optional<router::Approach> Routing::View::approach(const router::OpenSession& attempt,
                                                        const Address& client) const {
  const auto found = reals.find(attempt.group);
  if (found == reals.end()) return std::nullopt;
  const std::uint64_t key = attempt.key != 0 ? attempt.key : std::hash<Address>()(client);
  const auto real = choose_real(found->second, key, attempt.attempt);
  if (!real) return std::nullopt;
  router::Approach approach{
      .real = real->at, .source = choose_source(sources, real->at.address, key, attempt.attempt)};
  if (real->takes_proxy_header) approach.announced = service;
  return approach;
}

// A session stays if its real is unknown, because a group may have left the configuration.
router::Fate Routing::View::fate_of(router::GroupId group, const Endpoint& real) const {
  const auto has = [&](const RealChoices& choices) {
    const auto found = choices.find(group);
    return found != choices.end() && std::ranges::count(found->second, real, &RealChoice::at) != 0;
  };
  if (has(dead)) return router::Fate::kBreak;
  const auto others = reals.find(group);
  const bool has_others = others != reals.end() && !others->second.empty();
  if (has(reals) || !has_others) return router::Fate::kStay;
  return has(evacuated) ? router::Fate::kEvict : router::Fate::kMove;
}

std::shared_ptr<const Routing::View> Routing::view_of(const Service& service) const {
  auto view = std::make_shared<View>();
  view->matching = parts_.steering.matching();
  view->service = service.at();
  view->default_group = view->matching->groups.at(service.default_group);
  view->sources = config_.router.sources;
  if (config_.evacuate.farewell == Farewell::kMqtt5)
    view->farewell = static_cast<mqtt::Reason>(config_.evacuate.reason);
  for (const Group& group : config_.groups) {
    const router::GroupId number = view->matching->groups.at(group.name);
    view->names[number] = group.name;
    for (const Real& real : group.reals) {
      const Member* member = parts_.steering.reals().find(group.name, real.address);
      if (member == nullptr) continue;
      const RealChoice choice{.at = router_endpoint(service, group, real),
                              .weight = real.weight,
                              .takes_proxy_header = group.proxy_port != 0};
      const auto index = parts_.ids.index_of(real.address);
      const auto per_second =
          index ? parts_.evacuation.rate(static_cast<std::uint16_t>(number), *index) : std::nullopt;
      if (member->in_ring) {
        view->reals[number].push_back(choice);
      } else if (member->dead) {
        view->dead[number].push_back(choice);
      } else if (per_second) {
        view->evacuated[number].push_back(choice);
        view->evictions_per_second = std::max(view->evictions_per_second, *per_second);
      }
    }
  }
  return view;
}

router::Surroundings Routing::surroundings_for(Door& door, const Endpoint& at) {
  const std::shared_ptr<const View> view = door.view;
  router::Surroundings surroundings;
  surroundings.routing.default_group = view->default_group;
  for (const auto& [number, name] : view->names) surroundings.routing.groups.push_back(number);
  surroundings.routing.group_of = [view](std::string_view topic) { return view->group_of(topic); };
  surroundings.routing.home_of =
      [view, &homes = door.homes](std::string_view client_id) -> std::optional<router::GroupId> {
    const auto group = homes.find(client_id);
    return group ? view->matching->number_of(*group) : std::nullopt;
  };
  surroundings.routing.farewell = view->farewell;
  surroundings.routing.name_of = [view](router::GroupId group) -> std::string_view {
    const auto found = view->names.find(group);
    return found == view->names.end() ? "" : std::string_view(found->second);
  };
  surroundings.real_for = [view](const router::OpenSession& attempt, const Address& client) {
    return view->approach(attempt, client);
  };
  surroundings.fate_of = [view](router::GroupId group, const Endpoint& real) {
    return view->fate_of(group, real);
  };
  surroundings.evictions_per_second = view->evictions_per_second;
  surroundings.on_begin = [this, at](const Address& client) {
    mailbox_.post([this, who = std::pair(at, client)] { clients_.began(who); });
  };
  surroundings.on_end = [this, at](const Address& client) {
    mailbox_.post([this, who = std::pair(at, client)] { clients_.ended(who); });
  };
  surroundings.on_lesson = [this, at](const Address& client, const router::Learn& lesson) {
    mailbox_.post([this, who = std::pair(at, client), topic = lesson.topic] {
      clients_.published(who, topic);
    });
  };
  surroundings.on_home = [this, at, view, &homes = door.homes](const Address&,
                                                               const router::RememberHome& home) {
    const auto found = view->names.find(home.group);
    if (found == view->names.end()) return;
    homes.remember(home.client_id, found->second);
    mailbox_.post([this, at, client_id = home.client_id, group = found->second] {
      parts_.history.remember({.service = to_string(at),
                               .client_id = client_id,
                               .group = group,
                               .at_ms = Clocks().to_unix_ms(monotonic_ns())});
    });
  };
  surroundings.on_other_protocol = [this, at](const Address& client) {
    mailbox_.post([this, who = std::pair(at, client)] { clients_.is_other_protocol(who); });
  };
  surroundings.on_open = [this](router::GroupId group, const Endpoint& real) {
    const std::lock_guard lock(mutex_);
    ++sessions_[{group, real.address}];
  };
  surroundings.on_close = [this](router::GroupId group, const Endpoint& real) {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find({group, real.address});
    if (found != sessions_.end() && --found->second == 0) sessions_.erase(found);
  };
  return surroundings;
}

// ---- beginning and end

Routing::Routing(const Parts& parts, unsigned interface_index)
    : parts_(parts),
      interface_index_(interface_index),
      mailbox_(parts.loop),
      clients_(parts.maps, parts.ids, parts.steering, parts.predictions, parts.history) {}

// From now on the packet path passes no SYNs up, but still packets of the kernel's sockets.
Routing::~Routing() {
  if (doors_.empty()) return;
  guarded("the end of the router", [this] {
    parts_.maps.router_room.put(kOnly, {1, 0, 0});
    mailbox_.run();
    clients_.end_all();
  });
  doors_.clear();
}

void Routing::use(const Config& config) {
  const bool is_first = config_.services.empty();
  config_ = config;
  if (is_first) options_ = options_of(config.router);
  for (const Service& service : config.services) {
    const auto found = doors_.find(service.at());
    if (found != doors_.end()) {
      update(found->second, view_of(service));
    } else if (service.unknown_clients == UnknownClients::kRouter) {
      open(service);
    }
  }
  const std::vector<Endpoint> services = endpoints_of(doors_);
  set_router_routes(interface_index_, services);
  if (doors_.empty() && is_first) parts_.maps.router_room.put(kOnly, {});
  step();
}

void Routing::open(const Service& service) {
  raise_descriptor_limit();
  const Endpoint at = service.at();
  Fd listener = listen_at(at);
  Door& door = doors_[at];
  door.view = view_of(service);
  recall_homes(door, at);
  const Router& limits = config_.router;
  const router::WorkerLimits of_worker{
      .connections = limits.connections,
      .memory = limits.memory_mib * kMiB / limits.workers,
  };
  for (std::uint32_t i = 0; i < limits.workers; ++i) {
    door.workers.push_back(std::make_unique<router::Worker>(copy_of(listener, at), options_,
                                                            surroundings_for(door, at), of_worker));
  }
  log::info("the router listens at {}", to_string(at));
}

void Routing::recall_homes(Door& door, const Endpoint& at) {
  for (const Home& home : parts_.history.homes(to_string(at), kHomes))
    door.homes.remember(home.client_id, home.group);
}

// ---- changes

void Routing::update(Door& door, std::shared_ptr<const View> view) {
  door.view = std::move(view);
  const router::Surroundings next = surroundings_for(door, door.view->service);
  for (const auto& worker : door.workers) worker->change(next);
}

bool Routing::is_alive() const {
  const router::Time now = router::now_ms();
  for (const auto& [at, door] : doors_) {
    for (const auto& worker : door.workers) {
      if (now - worker->last_tick() > kStalled) return false;
    }
  }
  return true;
}

void Routing::step() {
  if (doors_.empty()) return;
  for (const Service& service : config_.services) {
    const auto found = doors_.find(service.at());
    if (found == doors_.end()) continue;
    auto view = view_of(service);
    if (!view->has_same_reals(*found->second.view)) update(found->second, std::move(view));
  }
  if (!is_alive()) return;
  const Counts now = counts();
  const Router& limits = config_.router;
  const bool has_memory = now.memory < limits.memory_mib * kMiB;
  const std::size_t left =
      limits.connections - std::min<std::size_t>(limits.connections, now.connections);
  parts_.maps.router_room.put(kOnly, {.beat_at_ns = monotonic_ns(),
                                      .connections = static_cast<__u32>(has_memory ? left : 0),
                                      .per_second = limits.connections_per_second});
}

void Routing::look() {
  if (doors_.empty()) return;
  const std::vector<Endpoint> services = endpoints_of(doors_);
  if (restore_router_routes(interface_index_, services))
    log::warn("the rules that lead clients to the router were missing; they are there again");
}

void Routing::move_to(unsigned interface_index) {
  interface_index_ = interface_index;
  set_router_routes(interface_index_, endpoints_of(doors_));
}

// ---- counters

Routing::Counts Routing::counts() const {
  Counts sum;
  for (const auto& [at, door] : doors_) {
    for (const auto& worker : door.workers) {
      sum.accepted += worker->accepted();
      sum.turned_away += worker->turned_away();
      sum.connections += worker->connections();
      sum.memory += worker->memory();
    }
  }
  return sum;
}

std::uint64_t Routing::sessions_at(std::uint16_t group, const Address& real) const {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find({group, real});
  return found == sessions_.end() ? 0 : found->second;
}

}  // namespace remora
