// SPDX-License-Identifier: Apache-2.0
#include "cli/views.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <string>

#include "cli/columns.h"

namespace remora {
namespace {

using json = nlohmann::ordered_json;

void print_sentences(std::ostream& out, const json& answer) {
  if (answer.contains("client")) out << "Client " << answer.at("client").get<std::string>() << '\n';
  for (const json& sentence : answer.at("sentences"))
    out << wrapped(sentence.get<std::string>(), 0) << '\n';
}

void print_services(std::ostream& out, const json& services) {
  const std::size_t name = width_of(services, "name"), at = width_of(services, "service"),
                    group = width_of(services, "default_group");
  out << fmt::format("{:<{}}{:<{}}{:<{}}{}\n", "service", name, "address", at, "default group",
                     group, "unknown clients go to");
  for (const json& row : services) {
    out << fmt::format("{:<{}}{:<{}}{:<{}}{}\n", row.at("name").get<std::string>(), name,
                       row.at("service").get<std::string>(), at,
                       row.at("default_group").get<std::string>(), group,
                       row.at("unknown_clients") == "router" ? "the router" : "the default group");
  }
}

void print_groups(std::ostream& out, json groups) {
  for (json& row : groups)
    if (row.at("vip").is_null()) row["vip"] = "-";
  const std::size_t name = width_of(groups, "name"), vip = width_of(groups, "vip");
  out << fmt::format("{:<{}}{:<{}}{:<8}{:>12}{:>10}{:>10}\n", "group", name, "VIP", vip, "policy",
                     "PUBLISHes", "wrong", "withheld");
  for (const json& row : groups) {
    const json& publishes = row.at("publishes");
    const std::uint64_t wrong = sum_of(publishes.at("wrong"));
    out << fmt::format(
        "{:<{}}{:<{}}{:<8}{:>12}{:>10}{:>10}{}\n", row.at("name").get<std::string>(), name,
        row.at("vip").get<std::string>(), vip, row.at("policy").get<std::string>(),
        sum_of(publishes.at("right")) + wrong + sum_of(publishes.at("unjudged")), wrong,
        sum_of(publishes.at("withheld")), row.at("configured").get<bool>() ? "" : "  former");
  }
}

void print_routes(std::ostream& out, const json& routes) {
  const std::size_t group = width_of(routes, "group");
  out << fmt::format("{:<{}}{:>6}  {}\n", "group", group, "line", "filter");
  for (const json& row : routes) {
    out << fmt::format("{:<{}}{:>6}  {}\n", row.at("group").get<std::string>(), group,
                       row.at("line").get<std::uint32_t>(), row.at("filter").get<std::string>());
  }
}

void print_ready(std::ostream& out, const json& answer) {
  if (answer.at("ready").get<bool>()) out << "ready\n";
  for (const json& reason : answer.at("reasons"))
    out << "NOT READY  " << wrapped(reason.get<std::string>(), 11) << '\n';
}

}  // namespace

bool print_view(std::ostream& out, std::string_view request, const json& answer) {
  if (request == "explain" || request == "route") {
    print_sentences(out, answer);
  } else if (request == "services") {
    print_services(out, answer.at("services"));
  } else if (request == "groups") {
    print_groups(out, answer.at("groups"));
  } else if (request == "routes") {
    print_routes(out, answer.at("routes"));
  } else if (request == "ready") {
    print_ready(out, answer);
  } else {
    return false;
  }
  return true;
}

}  // namespace remora
