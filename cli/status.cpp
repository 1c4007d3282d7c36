// SPDX-License-Identifier: Apache-2.0
#include "cli/status.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "cli/columns.h"
#include "cli/reals.h"

namespace remora {
namespace {

using json = nlohmann::ordered_json;

std::string duration(std::uint64_t seconds) {
  if (seconds >= 86400) return fmt::format("{} d {} h", seconds / 86400, seconds / 3600 % 24);
  if (seconds >= 3600) return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
  if (seconds >= 60) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  return fmt::format("{} s", seconds);
}

std::string traffic_columns(const json& group) {
  return fmt::format("{:>12}{:>16}", group.at("packets").get<std::uint64_t>(),
                     group.at("bytes").get<std::uint64_t>());
}

// The column that shows how a Katran server handles the VIP.
std::string katran_column(const json& group) {
  const json& state = group.at("katran");
  return fmt::format("{:>12}", state.is_null() ? "?" : state.get<std::string>());
}

std::string remarks_on(const json& group) {
  std::string remarks;
  if (group.value("affinity", "") == "client") remarks += "  one broker per client address";
  if (!group.at("configured").get<bool>()) remarks += "  no longer configured";
  return remarks;
}

std::string gateway_of(const json& status) {
  if (status.at("forwarder") == "katran-shared") return "the Katran server's";
  const json& mac = status.at("gateway_mac");
  return mac.is_null() ? "not found yet: packets for brokers are dropped" : mac.get<std::string>();
}

// The frames for brokers that XDP_TX has lost in the last minute; empty: none.
std::string lost_by_driver(const json& status) {
  const json xdp_tx = status.value("xdp_tx", json::object());
  const json grew = xdp_tx.value("grew_s_ago", json());
  if (!grew.is_number() || grew.get<std::uint64_t>() > 60) return "";
  return fmt::format("the driver {} throws away frames for brokers, {} so far: remoractl doctor",
                     xdp_tx.at("driver").get<std::string>(),
                     xdp_tx.at("errors").get<std::uint64_t>());
}

// Says when the configuration was reloaded, or why the file was refused; empty: no reload.
std::string last_reload_of(const json& status) {
  const json last = status.value("last_reload", json());
  if (!last.is_object()) return "";
  const std::string ago = duration(last.at("s_ago").get<std::uint64_t>()) + " ago";
  if (last.at("refused").is_null()) {
    const std::size_t changes = last.value("changes", json::array()).size();
    return fmt::format("reload   done {}, {} change{}\n", ago, changes, changes == 1 ? "" : "s");
  }
  std::string reasons = last.at("refused").get<std::string>();
  for (auto at = reasons.find('\n'); at != std::string::npos; at = reasons.find('\n', at + 1))
    reasons.insert(at + 1, 9, ' ');
  return "reload   REFUSED " + ago + ", the old configuration is in force: " + reasons + '\n';
}

// Nothing while no service uses it.
std::string router_of(const json& status) {
  const json router = status.value("router", json());
  if (!router.is_object()) return "";
  const bool is_open = router.at("open").get<bool>();
  const auto connections = router.at("connections").get<std::uint64_t>();
  if (!is_open && !router.value("stalled", false)) return "";
  constexpr double kMib = 1 << 20;
  return fmt::format("router   {}{} connections, {:.1f} MiB\n",
                     is_open ? "" : "STALLED: unknown clients take the usual way; ", connections,
                     router.at("memory_bytes").get<double>() / kMib);
}

// Prints counters, with the class of those above 0 that do not belong to normal operation.
void print_counters(std::ostream& out, const char* heading, const json& counters, Shown shown) {
  constexpr std::size_t kMeaning = 20 + 14 + 2 + 6 + 1;  // the column where meanings begin
  out << fmt::format("\n{:<20}{:>14}  {:<6} {}\n", heading, "value", "", "meaning");
  std::size_t left_out = 0;
  for (const auto& [name, counter] : counters.items()) {
    const auto value = counter.at("value").get<std::uint64_t>();
    const auto kind = counter.at("class").get<std::string>();
    if (value == 0 && shown == Shown::kAboveZero) {
      ++left_out;
      continue;
    }
    out << fmt::format("{:<20}{:>14}  {:<6} {}\n", name, value,
                       value == 0 || kind == "normal" ? "" : kind,
                       wrapped(counter.at("meaning").get<std::string>(), kMeaning));
  }
  if (left_out != 0) out << fmt::format("{} more are 0: --all\n", left_out);
}

// PUBLISHes that were sent to the brokers of each group by QoS; those of them that belong to
// another group, or were not judged; and those that were withheld.
void print_publishes(std::ostream& out, const json& groups, std::size_t name_width) {
  out << fmt::format("\n{:<{}}{:>11}{:>11}{:>11}{:>10}{:>10}{:>10}\n", "PUBLISHes", name_width,
                     "QoS 0", "QoS 1", "QoS 2", "wrong", "unjudged", "withheld");
  for (const json& group : groups) {
    const json& publishes = group.at("publishes");
    const auto sent = [&](const char* qos) {
      return publishes.at("right").at(qos).get<std::uint64_t>() +
             publishes.at("wrong").at(qos).get<std::uint64_t>() +
             publishes.at("unjudged").at(qos).get<std::uint64_t>();
    };
    out << fmt::format("{:<{}}{:>11}{:>11}{:>11}{:>10}{:>10}{:>10}\n",
                       group.at("name").get<std::string>(), name_width, sent("qos0"), sent("qos1"),
                       sent("qos2"), sum_of(publishes.at("wrong")),
                       sum_of(publishes.at("unjudged")), sum_of(publishes.at("withheld")));
  }
}

// Size, limit and growth of the file.
std::string size_of(const json& history) {
  if (!history.contains("bytes")) return "";  // the answer of an earlier remorad
  constexpr double kMib = 1 << 20;
  return fmt::format(", {:.1f} of {} MiB, {:+.1f} MiB a day", history["bytes"].get<double>() / kMib,
                     history["max_bytes"].get<std::uint64_t>() >> 20,
                     history["bytes_per_day"].get<double>() / kMib);
}

}  // namespace

std::vector<std::string> problems_of(const json& status) {
  std::vector<std::string> problems;
  for (const char* kind : {"attachment_problem", "link_problem"}) {
    if (const json problem = status.value(kind, json()); problem.is_string())
      problems.push_back(problem.get<std::string>());
  }
  if (std::string lost = lost_by_driver(status); !lost.empty()) problems.push_back(std::move(lost));
  const json history = status.value("history", json::object());
  if (!history.value("ok", true))
    problems.push_back("the history is not written: " + history.at("error").get<std::string>());
  return problems;
}

void print_status(std::ostream& out, const json& status, Shown shown) {
  const json& history = status.at("history");
  out << fmt::format(
      "instance {} on {} ({} XDP, {} forwarder), remorad {}, up {}\n",
      status.at("instance").get<std::string>(), status.at("interface").get<std::string>(),
      status.at("mode").get<std::string>(), status.at("forwarder").get<std::string>(),
      status.at("version").get<std::string>(),
      duration(status.at("uptime_s").get<std::uint64_t>()));
  if (status.value("shadow", false))
    out << "SHADOW   "
        << wrapped(
               "all connections go to the default group; groups, MISPREDICT and history say "
               "what would happen",
               9)
        << '\n';
  for (const std::string& problem : problems_of(status))
    out << "PROBLEM  " << wrapped(problem, 9) << '\n';
  out << last_reload_of(status);
  out << "gateway  " << gateway_of(status) << '\n';
  std::string programs;
  for (const auto& [name, program] : status.at("programs").items()) {
    programs += fmt::format("{}{} (id {})", programs.empty() ? "" : " ", name,
                            program.at("id").get<std::uint64_t>());
  }
  out << "programs " << wrapped(programs, 9) << '\n';
  const std::string kept = fmt::format("{}, {} clients{}{}", history.at("path").get<std::string>(),
                                       history.at("clients").get<std::uint64_t>(), size_of(history),
                                       history.at("ok").get<bool>() ? "" : ", FAILING");
  out << "history  " << wrapped(kept, 9) << '\n';

  out << router_of(status);

  out << fmt::format("\n{:<16}{:>12}{:>12}\n", "table", "used", "limit");
  for (const auto& [name, table] : status.at("tables").items()) {
    const json& used = table.at("used");
    out << fmt::format("{:<16}{:>12}{:>12}\n", name,
                       used.is_null() ? "counting" : std::to_string(used.get<std::uint64_t>()),
                       table.at("limit").get<std::uint64_t>());
  }
  json groups = status.at("groups");
  for (json& group : groups)
    if (group.at("vip").is_null()) group["vip"] = "-";
  const std::size_t name_width = width_of(groups, "name"), vip_width = width_of(groups, "vip");
  const bool is_shared = status.at("forwarder") == "katran-shared";
  out << fmt::format("\n{:<{}}{:<{}}{:>12}{:>16}\n", "group", name_width, "VIP", vip_width,
                     is_shared ? "Katran" : "packets", is_shared ? "" : "bytes");
  for (const json& group : groups) {
    out << fmt::format("{:<{}}{:<{}}{}{}\n", group.at("name").get<std::string>(), name_width,
                       group.at("vip").get<std::string>(), vip_width,
                       is_shared ? katran_column(group) : traffic_columns(group),
                       remarks_on(group));
  }
  if (!groups.empty() && groups.at(0).contains("publishes"))
    print_publishes(out, groups, name_width);
  out << '\n';
  if (is_shared) {
    out << "reals: those of the Katran server\n";
  } else {
    print_reals(out, status.at("reals"));
  }
  print_counters(out, "counter", status.at("counters"), shown);
  print_counters(out, "daemon", status.at("daemon"), shown);
}

}  // namespace remora
