// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

#include "cli/doctor/common_checks.h"
#include "cli/doctor/lb_checks.h"
#include "daemon/config/keys.h"
#include "daemon/protocol/counters.h"

namespace remora::doctor {
namespace {

using json = nlohmann::ordered_json;

constexpr const char* kRestart = "systemctl restart remora";
constexpr const char* kStart = "systemctl start remora";
constexpr std::string_view kRootProgram = "xdp_root", kStage = "xdp_mqtt",
                           kForwarder = "xdp_forward", kProbe = "remora_probe";

bool runs(const LbFacts& facts) {
  return static_cast<bool>(facts.daemon.status);
}

// The command that brings programs and tables into the kernel again.
const char* remedy_by_start(const LbFacts& facts) {
  return runs(facts) ? kRestart : kStart;
}

const char* remedy_for(Change change) {
  switch (change) {
    case Change::kReload:
      return "systemctl reload remora";
    case Change::kRestart:
      return kRestart;
    case Change::kDetach:
      return "systemctl stop remora && remorad --detach --config OLD_FILE && systemctl start "
             "remora";
  }
  return "";
}

std::string duration(std::uint64_t seconds) {
  if (seconds >= 2 * 3600) return fmt::format("{} hours", seconds / 3600);
  if (seconds >= 2 * 60) return fmt::format("{} minutes", seconds / 60);
  return fmt::format("{} s", seconds);
}

// The consequence for mispredicts while no daemon runs.
std::string last_beat(const LbFacts& facts) {
  const auto& beat = facts.pins.beat_at_ns;
  if (!beat || !*beat) return "";
  if (**beat == 0) return " It was stopped; forwarding and prediction go on without it.";
  const std::uint64_t ago_s = facts.now_ns > **beat ? (facts.now_ns - **beat) / 1'000'000'000 : 0;
  return fmt::format(" It was alive {} ago; forwarding and prediction go on without it.",
                     duration(ago_s));
}

// Why the last start failed, and how to fix it. The reasons end with the remedy, after a
// semicolon, if it is known.
Finding start_failure(const About& about, const LbFacts& facts, const StartFailure& failure) {
  const auto ago_s =
      static_cast<std::uint64_t>(std::max<std::int64_t>(facts.now_s - failure.at_s, 0));
  const std::string says = fmt::format("does not run: its last start failed {} ago: {}",
                                       duration(ago_s), failure.reason);
  if (failure.is_configuration) {
    const std::string check = "remorad --check " + facts.places.config.string();
    return about.error(says + last_beat(facts),
                       check + ", until the file is accepted; then " + kStart);
  }
  const auto end = failure.reason.rfind("; ");
  const std::string first =
      end == std::string::npos ? "" : failure.reason.substr(end + 2) + "; then ";
  return about.error(says + "." + last_beat(facts), first + kStart);
}

// `expected` is the name of the slot's program; empty: any.
Finding judge_slot(const LbFacts& facts, std::uint32_t slot, std::string_view what,
                   std::string_view expected, std::string_view consequence,
                   const std::string& remedy) {
  const auto& slots = **facts.pins.slots;
  const About about{"slots", fmt::format("slot {} of the root array, {},", slot, what)};
  const auto found = slots.find(slot);
  if (found == slots.end()) return about.error(fmt::format("is empty: {}", consequence), remedy);
  if (!expected.empty() && found->second != expected) {
    return about.error(
        fmt::format("holds \"{}\", not \"{}\": {}", found->second, expected, consequence), remedy);
  }
  return about.ok("holds " + found->second);
}

}  // namespace

Findings check_configuration(const LbFacts& facts) {
  const std::string file = facts.places.config.string();
  const About about{"config", file};
  if (facts.may_not_read_config) return {about.unknown("it may not be read: run this as root")};
  if (!facts.config) {
    return {about.error(
        "cannot be used, and without it the instance cannot be examined: " + facts.config.why_not,
        "remorad --check " + file)};
  }
  Findings found;
  for (const Problem& warning : facts.config->warnings)
    found.push_back(about.warning(fmt::format("line {}: {}", warning.line, warning.text)));
  if (found.empty()) found.push_back(about.ok("is accepted"));
  return found;
}

Findings check_daemon(const LbFacts& facts) {
  const About about{"daemon", "remorad"};
  const auto& status = facts.daemon.status;
  if (!status) {
    if (facts.daemon.does_not_answer) {
      return {about.error(
          "is there, but does not answer: its process is stopped, or hangs." + last_beat(facts),
          kRestart)};
    }
    if (facts.daemon.start_failure && !facts.daemon.may_not_ask)
      return {start_failure(about, facts, *facts.daemon.start_failure)};
    if (facts.daemon.may_not_ask || !facts.config) return {about.unknown(status.why_not)};
    return {about.error("seems not to run: " + status.why_not + "." + last_beat(facts), kStart)};
  }
  Findings found = {
      about.ok("answers, up " + duration(status->value("uptime_s", std::uint64_t{0})))};
  const auto& beat = facts.pins.beat_at_ns;
  if (!beat) {
    found.push_back(About{"daemon", "heartbeat"}.unknown(beat.why_not));
  } else if (*beat) {
    const std::uint64_t ago_ns = facts.now_ns > **beat ? facts.now_ns - **beat : 0;
    if (ago_ns > HEARTBEAT_STALE_S * 1'000'000'000ULL) {
      found.push_back(About{"daemon", "heartbeat"}.error(
          fmt::format("is {} old: the kernel resets mispredicts by itself, without a record",
                      duration(ago_ns / 1'000'000'000)),
          kRestart));
    }
  }
  const json counts = status->value("daemon", json::object());
  for (const CounterFacts& counter : daemon_counters()) {
    if (counter.kind != CounterClass::kAlarm) continue;
    const json::json_pointer place("/" + std::string(counter.name) + "/value");
    if (const auto count = counts.value(place, std::uint64_t{0}); count > 0)
      found.push_back(About{"daemon", std::string(counter.name)}.warning(
          fmt::format("is {}: {}", count, counter.meaning), "journalctl -u remora -p warning"));
  }
  return found;
}

Findings check_configuration_in_force(const LbFacts& facts) {
  if (!facts.config || !runs(facts)) return {};
  const About about{"config_in_force", "the configuration of the running remorad"};
  if (!facts.daemon.config_text) return {about.unknown(facts.daemon.config_text.why_not)};
  std::optional<Config> running;
  try {
    running = parse_config(*facts.daemon.config_text, "the running configuration");
  } catch (const ConfigError&) {  // the file is for another version
    return {
        about.unknown("remorad was started with a file that this remoractl refuses; restart it "
                      "if it is of another version")};
  }
  const std::vector<ChangedKey> changed = changed_keys(*running, *facts.config);
  if (changed.empty()) return {about.ok("is " + facts.places.config.string())};
  return {about.warning(
      fmt::format("differs from {} in {}", facts.places.config.string(), names_of(changed)),
      remedy_for(needed_for(changed)))};
}

Findings check_root_program(const LbFacts& facts) {
  if (!facts.config || !facts.interface) return {};
  const bool is_native = facts.config->lb.xdp_mode == XdpMode::kNative;
  const About about{
      "xdp", fmt::format("{} XDP on {}", is_native ? "native" : "generic", facts.interface->name)};
  if (!facts.xdp) return {about.unknown(facts.xdp.why_not)};
  const std::string& wanted = is_native ? facts.xdp->native_name : facts.xdp->generic_name;
  const std::string& other = is_native ? facts.xdp->generic_name : facts.xdp->native_name;
  if (other == kRootProgram) {
    return {about.error(
        fmt::format("has the program in {} mode instead", is_native ? "generic" : "native"),
        "systemctl stop remora && remorad --detach && systemctl start remora")};
  }
  if (wanted.empty()) {
    return {about.error("has no program: service packets go to this host's own stack",
                        remedy_by_start(facts))};
  }
  if (wanted != kRootProgram) {
    return {about.error(fmt::format("is \"{}\", which is not ours", wanted), "bpftool net")};
  }
  const auto& link = facts.pins.link_interface;
  if (!link) return {about.unknown(link.why_not)};
  if (!*link || **link != facts.interface->index) {
    return {about.error("is the root program of another instance",
                        "ls " + (facts.places.bpffs / "remora").string())};
  }
  return {about.ok("is " + std::string(kRootProgram))};
}

Findings check_slots(const LbFacts& facts) {
  if (!facts.config) return {};
  const About about{"slots", "the root array"};
  if (!facts.pins.slots) return {about.unknown(facts.pins.slots.why_not)};
  if (!*facts.pins.slots)
    return {about.error("is not there: nothing was loaded", remedy_by_start(facts))};
  const ForwarderKind forwarder = facts.config->lb.forwarder;
  const bool is_shared = forwarder == ForwarderKind::kKatranShared;
  return {judge_slot(facts, SLOT_MQTT, "the mqtt stage", kStage, "clients are not steered by topic",
                     remedy_by_start(facts)),
          judge_slot(facts, SLOT_FORWARDER, is_shared ? "the Katran server's" : "the forwarder",
                     forwarder == ForwarderKind::kEmbedded ? kForwarder : "",
                     is_shared ? "service packets are dropped (NO_FORWARDER) until that server runs"
                               : "service packets are dropped (NO_FORWARDER)",
                     is_shared ? "" : remedy_by_start(facts))};
}

Findings check_probe(const LbFacts& facts) {
  if (!facts.config || !facts.interface) return {};
  const About about{"probe", "TC ingress of " + facts.interface->name};
  if (!facts.probe) return {about.unknown(facts.probe.why_not)};
  if (*facts.probe == kProbe) return {about.ok("has the probe")};
  return {
      about.error("lacks the probe: mispredicted segments are not reported, and clients are not "
                  "reset at once",
                  remedy_by_start(facts))};
}

Findings check_history(const LbFacts& facts) {
  if (!facts.config) return {};
  constexpr std::uint64_t kLittle = 100 << 20, kTooLittle = 10 << 20;
  const std::string path = facts.config->store.path.string();
  const std::string folder = facts.config->store.path.parent_path().string();
  const About about{"history", path};
  if (runs(facts)) {
    const json history = facts.daemon.status->value("history", json::object());
    if (!history.value("ok", true)) {
      return {about.error("cannot be written: " + history.value("error", std::string()),
                          "journalctl -u remora | grep history")};
    }
  }
  if (!facts.store) return {about.unknown(facts.store.why_not)};
  if (!facts.store->exists) return {about.error("has no folder", "mkdir -p -m 750 " + folder)};
  if (facts.store->is_read_only) return {about.error("is on a read-only file system")};
  const std::uint64_t free_mib = facts.store->free_bytes >> 20;
  if (facts.store->free_bytes < kTooLittle)
    return {
        about.error(fmt::format("is on a full disk: {} MiB free", free_mib), "df -h " + folder)};
  if (facts.store->free_bytes < kLittle) {
    return {about.warning(fmt::format("is on a disk that is nearly full: {} MiB free", free_mib),
                          "df -h " + folder)};
  }
  return {about.ok(fmt::format("has {} MiB free", free_mib))};
}

Findings check_reals(const LbFacts& facts) {
  if (!facts.config || !runs(facts)) return {};
  if (facts.config->lb.forwarder == ForwarderKind::kKatranShared)
    return {About{"reals", "the reals"}.ok("are the Katran server's")};
  Findings found;
  std::map<std::string, bool> alive;  // by group: whether it has a real that is not dead
  std::size_t count = 0;
  for (const json& row : facts.daemon.status->value("reals", json::array())) {
    const auto group = row.at("group").get<std::string>(), real = row.at("real").get<std::string>(),
               state = row.at("state").get<std::string>();
    ++count;
    alive[group] |= state != "dead";
    if (state == "enabled") continue;
    const About about{"reals", fmt::format("{} of group {}", real, group)};
    if (state == "dead") {
      found.push_back(about.warning("is dead: its health check fails"));
    } else {
      found.push_back(about.warning(
          fmt::format("is {}", row.value("evacuated", false) ? "being evacuated" : state),
          fmt::format("remoractl reals enable {} --group {}", real, group)));
    }
  }
  for (const auto& [group, is_alive] : alive) {
    if (!is_alive) {
      found.push_back(About{"reals", "group " + group}.error(
          "has no living real; clients still go to the last ones that were alive"));
    }
  }
  if (found.empty())
    found.push_back(About{"reals", fmt::format("the {} reals", count)}.ok("are enabled"));
  return found;
}

Findings check_tables(const LbFacts& facts) {
  if (!runs(facts)) return {};
  Findings found;
  // The other tables drop their least recently used entries by themselves.
  const json tables = facts.daemon.status->value("tables", json::object());
  for (const char* name : {"flows", "predictions"}) {
    const json table = tables.value(name, json::object());
    const About about{"tables", fmt::format("the table {}", name)};
    if (table.value("used", json(0)).is_null()) {
      found.push_back(about.unknown("is still being counted: remorad has just started"));
      continue;
    }
    const auto used = table.value("used", std::uint64_t{0}),
               limit = table.value("limit", std::uint64_t{0});
    const std::string says = fmt::format("holds {} of {} entries", used, limit);
    found.push_back(used * 10 > limit * 9 ? about.warning(says + ": raise it in [limits]")
                                          : about.ok(says));
  }
  return found;
}

Findings check_counters(const LbFacts& facts) {
  if (!facts.config) return {};
  const About about{"counters", "the counters that show faults"};
  const auto& counters = facts.pins.counters;
  if (!counters) return {about.unknown(counters.why_not)};
  if (!*counters) return {};
  Findings found;
  for (std::size_t number = 0; const CounterFacts& counter : kernel_counters()) {
    const std::uint64_t count = (**counters)[number++];
    if (count == 0 || counter.kind != CounterClass::kAlarm) continue;
    found.push_back(About{"counters", std::string(counter.name)}.warning(
        fmt::format("is {}: {} (since the tables were made)", count, counter.meaning)));
  }
  if (found.empty()) found.push_back(about.ok("are 0"));
  return found;
}

// Whatever loses the packets for the brokers or their answers, it can be seen here. On veth it may
// be the driver, which counts nothing if the other end has GRO and no XDP program.
Findings check_connections(const LbFacts& facts) {
  constexpr std::uint64_t kSomeSyns = 3;
  const auto& counters = facts.pins.counters;
  if (!facts.config || !counters || !*counters) return {};
  const std::uint64_t syns = (**counters)[COUNT_SYN] - (**counters)[COUNT_SYN_ROUTED];
  const About about{"connections", "connections through the load balancer"};
  if ((**counters)[COUNT_ESTABLISHED] > 0) return {about.ok("come about")};
  if (syns < kSomeSyns) return {about.ok("were hardly attempted yet")};
  const bool is_veth = facts.driver && *facts.driver == "veth";
  return {about.warning(
      fmt::format("never came about, although there were {} SYNs: if these were clients, packets "
                  "for the brokers or the brokers' answers are lost{}",
                  syns,
                  is_veth ? "; on veth, look first whether the other end has an XDP program" : ""),
      "remoractl doctor --broker  (on a broker)")};
}

}  // namespace remora::doctor
