// SPDX-License-Identifier: Apache-2.0
#include "daemon/health/checks.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "daemon/base/callback.h"
#include "daemon/base/clock.h"
#include "daemon/base/link.h"
#include "daemon/kernel/health_routes.h"
#include "log/log.h"

namespace remora {
namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;
constexpr std::uint64_t kLookEveryNs = kSecondNs;
constexpr std::size_t kBatch = 4096;
// With no more checks than this, none is forgotten before it has ended.
constexpr std::size_t kSurelyRemembered = MAX_CHECK_FLOWS / 4;

// Reads the password, which is the first line of the file.
std::string password_of(const Config& config) {
  const Health& health = config.health;
  if (health.password_file.empty()) return {};
  std::ifstream file(health.password_file);
  std::string password;
  if (!file || !std::getline(file, password) || password.empty()) {
    throw std::runtime_error(
        describe(config.file, {config.line_of("health", "password_file"),
                               "no password can be read from " + health.password_file.string() +
                                   "; write it into the file, readable for root only, or remove "
                                   "password_file from [health]"}));
  }
  return password;
}

// The networks for the address families of the services.
std::vector<Prefix> networks_of(const Config& config) {
  std::vector<Prefix> networks;
  if (!are_checked(config)) return networks;
  for (const Prefix& network : {config.health.network4, config.health.network6}) {
    const bool is_needed = std::ranges::any_of(config.services, [&](const Service& service) {
      return service.address.is_ipv4() == network.is_ipv4();
    });
    if (is_needed) networks.push_back(network);
  }
  return networks;
}

CheckTiming timing_of(const Health& health) {
  return {.interval_ns = health.interval_s * kSecondNs,
          .timeout_ns = health.timeout_s * kSecondNs,
          .thresholds = {.rise = health.rise, .fall = health.fall}};
}

}  // namespace

HealthChecks::HealthChecks(EventLoop& loop, const Maps& maps, const Config& config,
                           unsigned interface_index, CheckSchedule::Handlers handlers)
    : loop_(loop),
      maps_(maps),
      interface_index_(interface_index),
      handlers_(std::move(handlers)),
      addresses_(config.health.network4, config.health.network6),
      schedule_({.on_dead = handlers_.on_dead,
                 .on_alive = handlers_.on_alive,
                 .is_host_in_order = [this] {
                   return (!handlers_.is_host_in_order || handlers_.is_host_in_order()) &&
                          look_for_way();
                 }}) {}

HealthChecks::~HealthChecks() {
  if (!keeps_routes_) {
    guarded("removal of the check routes", [this] { set_check_routes(interface_index_, {}); });
  }
}

void HealthChecks::move_to(unsigned interface_index) {
  interface_index_ = interface_index;
  looked_at_ns_ = 0;
}

void HealthChecks::prepare(const Config& config) {
  login_ = {.client_id = config.health.client_id,
            .username = config.health.username,
            .password = password_of(config)};
  std::vector<Prefix> networks = networks_of(config);
  set_check_routes(interface_index_, networks);
  networks_ = std::move(networks);
}

void HealthChecks::use(const Config& config, const Reals& reals, std::uint64_t now_ns) {
  addresses_.assign(check_targets(config));
  write_checks(config);
  schedule_.use(
      prober_for(config), addresses_.all(), timing_of(config.health),
      [&](const CheckTarget& target) {
        const Member* member = reals.find(target.group, target.real);
        return member && member->dead ? HealthState::Life::kDead : HealthState::Life::kAlive;
      },
      now_ns);
  if (!addresses_.all().empty()) {
    log::info("{} health checks by {}, each every {} s", addresses_.all().size(),
              to_string(config.health.check), config.health.interval_s);
  }
  for (const Group& group : config.groups) {
    for (const Real& real : group.reals) {
      const Member* member = reals.find(group.name, real.address);
      if (member && member->dead && !schedule_.is_dead(group.name, real.address)) {
        handlers_.on_alive(group.name, real.address);
      }
    }
  }
}

Prober* HealthChecks::prober_for(const Config& config) {
  if (!are_checked(config)) return nullptr;
  const auto on_result = [this](std::uint64_t id, CheckResult result) {
    schedule_.finish(id, std::move(result), monotonic_ns());
  };
  const auto has_left = [this](const Endpoint& local, const Endpoint& to) {
    return this->has_left(local, to);
  };
  switch (config.health.check) {
    case CheckKind::kTcp:
      if (!tcp_) tcp_ = std::make_unique<TcpProber>(loop_, on_result, has_left);
      return tcp_.get();
    case CheckKind::kMqtt:
      if (!mqtt_) mqtt_ = std::make_unique<MqttProber>(loop_, on_result, has_left);
      mqtt_->use(login_);
      return mqtt_.get();
    case CheckKind::kOff:
      break;
  }
  return nullptr;
}

// The TC program records each SYN that it has sent.
bool HealthChecks::has_left(const Endpoint& local, const Endpoint& to) const {
  if (!local.address.is_unspecified() && addresses_.all().size() > kSurelyRemembered) return true;
  const auto way = maps_.checks.find(to.address.abi());
  if (!way) return true;
  const auto left =
      maps_.check_flows.find({local.address.abi(), way->service, local.port, to.port});
  const bool is_on_its_way = left && Address(*left) == to.address;
  // A host that has lost its addresses sends from an unspecified one.
  if (is_on_its_way && !local.address.is_unspecified()) return true;
  log_failure("health checks",
              "they do not get out of this host, and say nothing about the brokers: look at its "
              "addresses, its firewall and other programs on the interface");
  return false;
}

void HealthChecks::write_checks(const Config& config) const {
  std::map<std::string, Address> vips;
  for (const Group& group : config.groups) vips[group.name] = group.vip;
  const bool is_by_vip = traits_of(config.lb.forwarder).finds_groups_by_vip;
  for (const auto& [target, address] : addresses_.all()) {
    const Address& destination = is_by_vip ? vips.at(target.group) : target.service;
    maps_.checks.put(address.abi(), {target.service.abi(), destination.abi(), target.real.abi()});
  }
  std::set<Address> wanted;
  for (const auto& [target, address] : addresses_.all()) wanted.insert(address);
  std::vector<address> gone;
  BatchReader<address, check_way> reader(maps_.checks, kBatch);
  for (auto [keys, values] = reader.next(); !keys.empty(); std::tie(keys, values) = reader.next()) {
    for (const address& key : keys) {
      if (!wanted.contains(Address(key))) gone.push_back(key);
    }
  }
  for (const address& key : gone) maps_.checks.erase(key);
}

void HealthChecks::step(Way way, std::uint64_t now_ns) {
  if (networks_.empty()) return;
  if (way == Way::kNone || !has_way(now_ns)) {
    schedule_.abandon();
    return;
  }
  schedule_.step(now_ns);
}

bool HealthChecks::has_way(std::uint64_t now_ns) {
  if (now_ns - looked_at_ns_ < kLookEveryNs) return has_way_;
  looked_at_ns_ = now_ns;
  return look_for_way();
}

bool HealthChecks::look_for_way() {
  const auto interface = find_name(interface_index_);
  const bool before =
      std::exchange(has_way_, interface && is_running(*interface) &&
                                  restore_check_routes(interface_index_, networks_));
  if (before && !has_way_) {
    log::warn("health checks wait: nothing can leave {} now", interface.value_or("the interface"));
  } else if (!before && has_way_) {
    log::info("health checks go on");
  }
  return has_way_;
}

}  // namespace remora
