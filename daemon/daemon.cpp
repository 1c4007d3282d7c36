// SPDX-License-Identifier: Apache-2.0
#include "daemon/daemon.h"

#include <systemd/sd-daemon.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "daemon/base/callback.h"
#include "daemon/base/clock.h"
#include "daemon/control/orders.h"
#include "daemon/control/request_handlers.h"
#include "daemon/control/unit_status.h"
#include "daemon/steering/history_options.h"
#include "log/log.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

constexpr __u32 kOnly = 0;
constexpr auto kBeatEvery = 500ms;  // well below HEARTBEAT_STALE_S
constexpr auto kLookAtAttachmentEvery = 500ms;
constexpr auto kReadEvery = 50ms;  // for records that wake nobody
constexpr auto kSweepEvery = 50ms;
constexpr auto kLookAtForwarderEvery = 1s;
constexpr auto kLookAtHistoryEvery = 1s;
constexpr auto kCheckEvery = 50ms;
constexpr auto kWaitForGateway = 2s;      // during the start
constexpr auto kWaitForPredictions = 5s;  // likewise

Link link_of(const Config& config) {
  const auto link = find_link(config.lb.interface);
  if (!link) {
    throw std::runtime_error(describe(
        config.file,
        {config.line_of("lb", "interface"),
         "there is no interface \"" + config.lb.interface + "\"; ip link shows those there are"}));
  }
  return *link;
}

std::string time_of_day(std::time_t at) {
  std::tm local{};
  localtime_r(&at, &local);
  char text[sizeof("2026-11-27 12:04")] = "";
  std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &local);
  return text;
}

}  // namespace

Daemon::Daemon(Places places, Config config)
    : places_(std::move(places)),
      config_(std::move(config)),
      started_at_ns_(monotonic_ns()),
      config_read_at_(std::time(nullptr)),
      link_(link_of(config_)),
      instance_(places_, config_.lb.instance),
      programs_(config_, instance_.pins_for(config_.lb.mode), link_.index),
      forwarder_(make_forwarder(config_, programs_, link_.index)),
      maps_(programs_),
      ids_(maps_, config_.limits.groups),
      history_(history_options(config_, ring_id(maps_.events_fd))),
      steering_(maps_, ids_, *forwarder_),
      predictions_(maps_, history_, config_.limits.clients),
      ender_(config_, *forwarder_),
      recorder_(maps_, ids_, steering_, predictions_, ender_, history_),
      evacuation_(maps_, steering_, ender_),
      severance_(maps_, steering_, ender_),
      reals_admin_({config_, maps_, ids_, steering_, *forwarder_, evacuation_, severance_}),
      health_(loop_, maps_, config_, link_.index,
              {.on_dead =
                   [this](const std::string& group, const Address& real) {
                     const std::string why = health_.why(group, real);
                     reals_admin_.died(group, real, why);
                     remember_health("dead", group, real, why);
                   },
               .on_alive =
                   [this](const std::string& group, const Address& real) {
                     reals_admin_.lives_again(group, real);
                     remember_health("alive", group, real, "");
                   },
               .is_host_in_order = [this] { return is_host_in_order(); }}),
      events_(loop_, maps_.events_fd,
              [this](const Record& record, RecordPlace place) { recorder_.take(record, place); }),
      sweeper_(maps_, ids_, history_, IdleLimits(config_, ids_)),
      pressure_(maps_, steering_, config_.limits.flows),
      routing_({loop_, maps_, ids_, steering_, predictions_, evacuation_, history_}, link_.index),
      flow_scan_(maps_.flows),
      fill_gauges_(fill_gauges(programs_, config_.limits)),
      follower_(loop_, link_,
                {.on_mtu = [this](std::uint32_t mtu) { steering_.set_link_mtu(mtu); },
                 .on_gateway = [this](const MacAddress& mac) { steering_.set_gateway(mac); }},
                traits_of(config_.lb.forwarder).has_our_reals ? LinkFollower::Gateway::kNeeded
                                                              : LinkFollower::Gateway::kUnneeded),
      xdp_tx_(link_.index),
      attachment_(config_.lb.interface, link_, programs_,
                  {.on_restored =
                       [this] {
                         health_.abandon();
                         instance_.lock_pins_again();
                         forwarder_->look();
                       },
                   .on_new_interface = [this](const Link& link) { move_to(link); }}),
      reloader_(places_.config, config_,
                {health_, steering_, ender_, history_, sweeper_, ids_, predictions_, follower_,
                 reals_admin_, routing_}),
      dispatcher_(
          request_handlers([this] { return sources(); }, reals_admin_, [this] { return reload(); }),
          [this](const Order& order) { history_.record(operation_of(order, unix_ms())); }),
      control_(loop_, instance_.socket_path(),
               [this](const nlohmann::ordered_json& request, const Peer& peer) {
                 return dispatcher_.answer(request, peer);
               }) {
  flow_scan_.add(sweeper_);
  flow_scan_.add(flow_counts_);
  flow_scan_.add(pressure_);
  flow_scan_.add(evacuation_);
  flow_scan_.add(severance_);
  recorder_.use(config_);
  health_.prepare(config_);
  steering_.apply(config_, link_.mtu);
  health_.use(config_, steering_.reals(), monotonic_ns());
  sweeper_.use(IdleLimits(config_, ids_));  // the services have their numbers now
  maps_.half_open.mend();
  maps_.predictions.mend();
  // Records from the time without a daemon are new to the history, too.
  read_former_ring();
  events_.drain();
  // A file that is locked must not hold the start up any longer.
  if (history_.status().ok) history_.flush();
  loaded_history_ = history_.status().openings;
  // A new table gets the clients that were seen last before the first packet. The others are loaded
  // while the loop runs. A table that was taken over is good enough for the start.
  const bool is_new = programs_.is_fresh("predictions");
  predictions_.start_load(steering_.matching());
  if (is_new && !predictions_.wait_for_newest(kWaitForPredictions))
    log::info("the history is long: predictions are loaded while remorad runs");
  follower_.set_gateway(config_.lb.gateway_mac);
  if (traits_of(config_.lb.forwarder).has_our_reals &&
      !follower_.wait_for_gateway(kWaitForGateway)) {
    log::warn("the gateway does not answer yet; packets for brokers are dropped until it does");
  }
  beat();
  programs_.attach(forwarder_->slot_program());
  flow_scan_.run_pass(monotonic_ns());  // by now the flows of a former table are there
  read_former_ring();
  forwarder_->settle(programs_.folder());
  health_.keep_routes();
  routing_.use(config_);
  start_timers();
}

// Reads the records of the programs of a former ABI, which write it until new ones are attached.
void Daemon::read_former_ring() {
  FormerRing* ring = programs_.former_ring();
  if (ring == nullptr) return;
  ring->drain([this](EntryView record) { events_.take(record.data(), record.size()); });
}

void Daemon::start_timers() {
  loop_.every(kReadEvery, "look at the ring of events", [this] { events_.look(); });
  loop_.every(kBeatEvery, "heartbeat", [this] { beat(); });
  loop_.every(kBeatEvery, "what the router takes", [this] { routing_.step(); });
  loop_.every(1s, "look at the way to the router", [this] { routing_.look(); });
  loop_.every(kLookAtAttachmentEvery, "look at the attachment", [this] { attachment_.look(); });
  loop_.every(kLookAtHistoryEvery, "look at the history", [this] { look_at_history(); });
  loop_.every(kSweepEvery, "sweep of the flows", [this] {
    flow_scan_.step(monotonic_ns());
    evacuation_.step(monotonic_ns());
    severance_.step(monotonic_ns());
    ender_.step(monotonic_ns());
    release_records();
    forwarder_->step();
    for (FillGauge& gauge : fill_gauges_) gauge.step();
  });
  loop_.every(kCheckEvery, "health checks", [this] {
    const bool is_open = follower_.gateway() && attachment_.is_complete();
    health_.step(is_open ? HealthChecks::Way::kOpen : HealthChecks::Way::kNone, monotonic_ns());
  });
  loop_.every(1s, "look at the flow table", [this] { pressure_.step(); });
  loop_.every(1s, "look at the link", [this] { follower_.tick(); });
  loop_.every(1s, "line for systemctl status", [this] { tell_systemd(); });
  loop_.every(1s, "look at the control socket", [this] { control_.look(); });
  loop_.every(kLookAtForwarderEvery, "look at the forwarder", [this] {
    forwarder_->look();
    steering_.update_outer_lengths();
    xdp_tx_.look(monotonic_ns());
  });
  loop_.on_signal(SIGTERM, "SIGTERM", [this] { loop_.stop(); });
  loop_.on_signal(SIGINT, "SIGINT", [this] { loop_.stop(); });
  loop_.on_signal(SIGHUP, "SIGHUP", [this] { history_.record(operation_of(reload(), unix_ms())); });
}

void Daemon::remember_health(const char* what, const std::string& group, const Address& real,
                             const std::string& detail) {
  history_.record(Operation{
      .at_ms = unix_ms(), .what = what, .real = to_string(real), .group = group, .detail = detail});
}

// Called when a check has failed.
bool Daemon::is_host_in_order() {
  if (!follower_.hears_gateway()) {
    log_failure("health checks",
                "they fail, but the interface has no default route, or its router does not answer: "
                "that says nothing about the brokers");
    return false;
  }
  return attachment_.look();
}

void Daemon::move_to(const Link& link) {
  health_.move_to(link.index);
  xdp_tx_ = XdpTxWatch(link.index);
  forwarder_->move_to(link.index);
  follower_.move_to(link);
  routing_.move_to(link.index);
}

void Daemon::run() {
  log::info("instance {} on {}: {} services, {} groups, {} routes", config_.lb.instance,
            config_.lb.interface, config_.services.size(), config_.groups.size(),
            config_.routes.size());
  sd_notify(0, "READY=1");
  loop_.run();
  sd_notify(0, "STOPPING=1");
  // From now on the kernel resets mispredicts by itself.
  maps_.heartbeat.put(kOnly, {});
  events_.drain();
  history_.flush();
  release_records();
  log::info("stopped; forwarding and prediction go on in the kernel");
}

// Loads predictions again from a file that could not be read at the start, or that has been
// replaced.
void Daemon::look_at_history() {
  const std::uint64_t openings = history_.status().openings;
  if (openings == loaded_history_) return;
  loaded_history_ = openings;
  predictions_.catch_up_with(history_.newest_lesson());
  predictions_.start_load(steering_.matching());
}

// Releases the records whose rows are committed and whose topics are complete.
void Daemon::release_records() {
  const std::uint64_t committed = history_.committed_to(events_.read_to());
  events_.release(std::min(committed, recorder_.needed_from()), monotonic_ns());
}

void Daemon::beat() const {
  maps_.heartbeat.put(kOnly, {monotonic_ns()});
  sd_notify(0, "WATCHDOG=1");
}

// Tells systemd, which waits for READY=1 after each reload.
ReloadResult Daemon::reload() {
  sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
             static_cast<unsigned long long>(monotonic_ns() / 1000));
  ReloadResult result = reloader_.reload();
  if (!result.refusal) {
    recorder_.use(config_);
    config_read_at_ = std::time(nullptr);
  }
  sd_notify(0, "READY=1");
  return result;
}

void Daemon::tell_systemd() {
  UnitFacts facts{.is_shadow = config_.lb.mode == Mode::kShadow,
                  .flows = flow_counts_.used(),
                  .config_at = time_of_day(config_read_at_),
                  .was_refused = reloader_.last() && reloader_.last()->refusal,
                  .problems = {attachment_.problem(), follower_.problem()}};
  std::set<Address> dead;
  for (const Group& group : config_.groups)
    for (const Member& member : steering_.reals().members(group.name))
      if (member.dead) dead.insert(member.address);
  facts.dead_reals = dead.size();
  if (std::string line = unit_status(facts); line != unit_status_) {
    sd_notifyf(0, "STATUS=%s", line.c_str());
    unit_status_ = std::move(line);
  }
}

StatusSources Daemon::sources() const {
  return {.config = config_,
          .programs = programs_,
          .maps = maps_,
          .ids = ids_,
          .steering = steering_,
          .predictions = predictions_,
          .ender = ender_,
          .recorder = recorder_,
          .events = events_,
          .sweeper = sweeper_,
          .flow_counts = flow_counts_,
          .evacuation = evacuation_,
          .forwarder = *forwarder_,
          .severance = severance_,
          .routing = routing_,
          .health = health_,
          .fill_gauges = fill_gauges_,
          .history = history_,
          .xdp_tx = xdp_tx_,
          .started_at_ns = started_at_ns_,
          .gateway = follower_.gateway(),
          .last_reload = reloader_.last(),
          .attachment_problem = attachment_.problem(),
          .link_problem = follower_.problem()};
}

bool detach_instance(const Places& places, const Config& config) {
  const Instance instance(places, config.lb.instance);
  const auto link = find_link(config.lb.interface);
  return Programs::detach(instance.pins(), link ? link->index : 0);
}

}  // namespace remora
