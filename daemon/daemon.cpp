// SPDX-License-Identifier: Apache-2.0
#include "daemon/daemon.h"

#include <systemd/sd-daemon.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <thread>

#include "daemon/base/clock.h"
#include "daemon/config/keys.h"
#include "daemon/control/status.h"
#include "log/log.h"

namespace remora {
namespace {

constexpr const char* kKatransReals =
    "with forwarder = \"katran-shared\" the reals, their weights and their health belong to the "
    "Katran server: use its own tools";

using namespace std::chrono_literals;

constexpr __u32 kOnly = 0;
constexpr auto kBeatEvery = 500ms;  // well below HEARTBEAT_STALE_S
constexpr auto kSweepEvery = 50ms;
constexpr auto kLookAtForwarderEvery = 2s;
constexpr auto kCheckEvery = 50ms;
// At the start only, before the loop runs.
constexpr auto kWaitForGateway = 2000ms;
constexpr auto kAskGatewayEvery = 10ms;

Link link_of(const Config& config) {
  const auto link = find_link(config.lb.interface);
  if (!link) {
    throw std::runtime_error(describe(
        config.file, {config.line_of("lb", "interface"), "there is no interface \"" + config.lb.interface +
                                                    "\"; ip link shows those there are"}));
  }
  return *link;
}

std::vector<ServiceName> service_names(const Config& config) {
  std::vector<ServiceName> names;
  for (const Service& service : config.services) {
    names.push_back({.service = to_string(service.at()), .name = service.name});
  }
  return names;
}

HistoryOptions history_options(const Config& config) {
  HistoryOptions options;
  options.path = config.store.path;
  options.services = service_names(config);
  options.retention_days = static_cast<int>(config.store.retention_days);
  return options;
}

std::uint64_t idle_ns(const Config& config) {
  return config.limits.idle_hours * 3'600ULL * 1'000'000'000ULL;
}

std::uint32_t per_second_of(const nlohmann::ordered_json& request) {
  constexpr std::int64_t kMost = 1'000'000;
  const auto per_second = request.at("per_second").get<std::int64_t>();
  if (per_second < 1 || per_second > kMost) {
    throw std::runtime_error("the connections per second must be from 1 to " +
                             std::to_string(kMost));
  }
  return static_cast<std::uint32_t>(per_second);
}

}  // namespace

Daemon::Daemon(Places places, Config config)
    : places_(std::move(places)),
      config_(std::move(config)),
      started_at_ns_(monotonic_ns()),
      link_(link_of(config_)),
      instance_(places_.runtime_dir, config_.lb.instance),
      programs_(config_, pin_folder(places_.bpffs, config_.lb.instance), link_.index),
      forwarder_(make_forwarder(config_, programs_, link_.index)),
      maps_(programs_),
      ids_(maps_, config_.limits.groups),
      history_(history_options(config_)),
      steering_(maps_, ids_, *forwarder_),
      predictions_(maps_, history_, config_.limits.clients),
      ender_(config_, *forwarder_),
      recorder_(maps_, ids_, steering_, ender_, history_),
      evacuation_(maps_, steering_, ender_),
      severance_(maps_, steering_, ender_),
      health_(loop_, maps_, config_, link_.index,
              {.on_dead = [this](const std::string& group,
                                 const Address& real) { real_died(group, real); },
               .on_alive = [this](const std::string& group,
                                  const Address& real) { real_lives(group, real); }}),
      events_(loop_, maps_.events_fd, [this](const Record& record) { recorder_.take(record); }),
      sweeper_(maps_, ids_, history_, idle_ns(config_)),
      flow_scan_(maps_.flows),
      fill_(maps_, config_.limits),
      follower_(loop_, config_.lb.interface, link_,
                {.on_mtu = [this](std::uint32_t mtu) { steering_.set_link_mtu(mtu); },
                 .on_gateway = [this](const MacAddress& mac) { steering_.set_gateway(mac); }}),
      control_(loop_, instance_.socket_path(),
               [this](const nlohmann::ordered_json& request) { return handle(request); }) {
  flow_scan_.add(sweeper_);
  flow_scan_.add(flow_counts_);
  flow_scan_.add(evacuation_);
  flow_scan_.add(severance_);
  health_.prepare(config_);
  steering_.apply(config_, link_.mtu);
  health_.use(config_, steering_.reals(), monotonic_ns());
  // What was reported while no daemon ran is news to the history, too.
  events_.drain();
  history_.flush();
  const auto found = programs_.is_fresh("predictions") ? Predictions::Found::kNewTable
                                                       : Predictions::Found::kInUse;
  const std::uint64_t loaded = predictions_.load(*steering_.matching(), found);
  fill_.recount();
  flow_scan_.run_pass(monotonic_ns());
  log::info("{} predictions, {} of them loaded from {}", fill_.predictions.used(), loaded,
            config_.store.path.string());
  if (found == Predictions::Found::kInUse) predictions_.start_rematch(steering_.matching());
  follower_.set_gateway(config_.lb.gateway_mac);
  if (traits_of(config_.lb.forwarder).has_our_reals) wait_for_gateway();
  beat();
  // Generic XDP runs behind GRO, whose merged segments fit no outer header.
  if (config_.lb.xdp_mode == XdpMode::kGeneric && turn_off_gro(config_.lb.interface)) {
    log::info("GRO of {} is turned off, as generic XDP needs it", config_.lb.interface);
  }
  programs_.attach(forwarder_->slot_program());
  forwarder_->settle(programs_.folder());
  health_.keep_routes();
  start_timers();
}

void Daemon::wait_for_gateway() {
  for (auto waited = 0ms; waited < kWaitForGateway; waited += kAskGatewayEvery) {
    follower_.look();
    if (follower_.gateway()) return;
    std::this_thread::sleep_for(kAskGatewayEvery);
  }
  log::warn("the gateway does not answer yet; packets for brokers are dropped until it does");
}

void Daemon::start_timers() {
  loop_.every(kBeatEvery, "heartbeat", [this] { beat(); });
  loop_.every(kSweepEvery, "sweep of the flows", [this] {
    flow_scan_.step(monotonic_ns());
    evacuation_.step(monotonic_ns());
    severance_.step(monotonic_ns());
    forwarder_->step();
    fill_.step();
  });
  loop_.every(kCheckEvery, "health checks", [this] {
    health_.step(follower_.gateway() ? HealthChecks::Way::kOpen : HealthChecks::Way::kNone,
                 monotonic_ns());
  });
  loop_.every(1s, "look at the link", [this] { follower_.tick(); });
  loop_.every(kLookAtForwarderEvery, "look at the forwarder", [this] {
    forwarder_->look();
    steering_.update_outer_lengths();
  });
  loop_.on_signal(SIGTERM, "SIGTERM", [this] { loop_.stop(); });
  loop_.on_signal(SIGINT, "SIGINT", [this] { loop_.stop(); });
  loop_.on_signal(SIGHUP, "SIGHUP", [this] { reload(); });
}

void Daemon::run() {
  log::info("instance {} on {}: {} services, {} groups, {} routes", config_.lb.instance,
            config_.lb.interface, config_.services.size(), config_.groups.size(),
            config_.routes.size());
  sd_notify(0, "READY=1");
  loop_.run();
  sd_notify(0, "STOPPING=1");
  // From now on the kernel answers mispredicts itself.
  maps_.heartbeat.put(kOnly, {});
  events_.drain();
  log::info("stopped; forwarding and prediction go on in the kernel");
}

void Daemon::beat() const {
  maps_.heartbeat.put(kOnly, {monotonic_ns()});
  sd_notify(0, "WATCHDOG=1");
}

void Daemon::reload() {
  sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
             static_cast<unsigned long long>(monotonic_ns() / 1000));
  try {
    Config next = load_config(places_.config);
    require_reloadable(config_, next);
    health_.prepare(next);
    try {
      steering_.apply(next, follower_.mtu());
    } catch (...) {
      health_.prepare(config_);
      throw;
    }
    config_ = std::move(next);
    health_.use(config_, steering_.reals(), monotonic_ns());
    ender_.use(config_);
    history_.name_services(service_names(config_));
    sweeper_.set_idle_ns(idle_ns(config_));
    predictions_.start_rematch(steering_.matching());
    follower_.set_gateway(config_.lb.gateway_mac);
    log::info("configuration reloaded");
  } catch (const std::exception& error) {
    log::error("the configuration stays as it was: {}", error.what());
  }
  sd_notify(0, "READY=1");
}

// Nothing is gained by a reset where the group has no other real: then it stays in the
// ring, and the check may be wrong.
void Daemon::real_died(const std::string& group, const Address& real) {
  steering_.mark_dead(group, real);
  const Member* member = steering_.reals().find(group, real);
  const bool is_out = member && !member->in_ring;
  const HealthState* state = health_.find(group, real);
  log::warn("real {} of group {} is dead: {}{}", to_string(real), group,
            state ? state->last().what : "",
            is_out ? "" : "; it stays, because the group has no other");
  sever_dead(group);
}

// A dead real that stayed for want of another leaves the ring when another is back.
void Daemon::sever_dead(const std::string& group) {
  for (const Member& member : steering_.reals().members(group)) {
    if (!member.dead || member.in_ring) continue;
    const std::uint16_t number = ids_.of_group(group);
    const std::uint32_t real = ids_.of_real(member.address);
    severance_.start(number, real);
    if (const auto entry = maps_.groups.find(number)) forwarder_->forget(Address(entry->vip), real);
  }
}

void Daemon::real_lives(const std::string& group, const Address& real) {
  steering_.mark_alive(group, real);
  severance_.stop(ids_.of_group(group), ids_.of_real(real));
  sever_dead(group);
  const Member* member = steering_.reals().find(group, real);
  log::info("real {} of group {} lives again; it is {}", to_string(real), group,
            member ? to_string(member->state()) : "gone");
}

nlohmann::ordered_json Daemon::handle(const nlohmann::ordered_json& request) {
  const std::string name = request.at("request").get<std::string>();
  if (name == "status") return status_of(sources());
  const bool has_our_reals = traits_of(config_.lb.forwarder).has_our_reals;
  if (!has_our_reals &&
      (name == "reals" || name == "drain" || name == "enable" || name == "evacuate")) {
    throw std::runtime_error(kKatransReals);
  }
  if (name == "reals") return {{"reals", reals_of(sources())}};
  if (name == "config") return {{"file", config_.file}, {"text", config_.text}};
  if (name == "drain" || name == "enable" || name == "evacuate") return change_real(request);
  throw std::runtime_error("unknown request \"" + name +
                           "\"; known: status, config, reals, drain, enable, evacuate");
}

// Drains it first, else those that leave would come back to it.
void Daemon::evacuate(const Address& real, const std::vector<std::string>& groups,
                      std::uint32_t per_second) {
  Reals after = steering_.reals();
  std::set<std::uint16_t> numbers;
  for (const std::string& group : groups) {
    after.drain(group, real);
    if (after.find(group, real)->in_ring) {
      throw std::runtime_error(to_string(real) + " cannot be evacuated: group \"" + group +
                               "\" has no other real that takes connections");
    }
    numbers.insert(ids_.of_group(group));
  }
  for (const std::string& group : groups) steering_.drain(real, group);
  evacuation_.start(ids_.of_real(real), std::move(numbers), per_second);
}

// Answers with the real as it is now, in each group that was changed.
nlohmann::ordered_json Daemon::change_real(const nlohmann::ordered_json& request) {
  const std::string text = request.at("real").get<std::string>();
  const auto real = Address::parse(text);
  if (!real) throw std::runtime_error("\"" + text + "\" is no IPv4 or IPv6 address");
  std::optional<std::string> group;
  if (request.contains("group")) group = request.at("group").get<std::string>();

  const std::string name = request.at("request").get<std::string>();
  std::vector<std::string> groups = steering_.reals().groups_of(*real, group);
  if (name == "evacuate") {
    evacuate(*real, groups, per_second_of(request));
  } else if (name == "drain") {
    steering_.drain(*real, group);
  } else {
    steering_.enable(*real, group);
    evacuation_.stop(ids_.of_real(*real));
  }
  nlohmann::ordered_json changed = nlohmann::ordered_json::array();
  for (const auto& row : reals_of(sources())) {
    const bool is_meant =
        std::ranges::find(groups, row.at("group").get<std::string>()) != groups.end() &&
        row.at("real") == to_string(*real);
    if (!is_meant) continue;
    changed.push_back(row);
    log::info("real {} of group {} is {}", to_string(*real), row.at("group").get<std::string>(),
              row.at("state").get<std::string>());
  }
  return {{"reals", changed}};
}

StatusSources Daemon::sources() const {
  return {.config = config_,
          .programs = programs_,
          .maps = maps_,
          .ids = ids_,
          .steering = steering_,
          .ender = ender_,
          .recorder = recorder_,
          .events = events_,
          .sweeper = sweeper_,
          .flow_counts = flow_counts_,
          .evacuation = evacuation_,
          .forwarder = *forwarder_,
          .severance = severance_,
          .health = health_,
          .fill = fill_,
          .history = history_,
          .started_at_ns = started_at_ns_,
          .gateway = follower_.gateway()};
}

bool detach(const Places& places, const Config& config) {
  const Instance instance(places.runtime_dir, config.lb.instance);
  const auto link = find_link(config.lb.interface);
  return Programs::detach(pin_folder(places.bpffs, config.lb.instance), link ? link->index : 0);
}

}  // namespace remora
