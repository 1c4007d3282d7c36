// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/explanation.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "bpf/flow_hash.h"
#include "daemon/base/clock.h"
#include "daemon/mqtt/topic_filter.h"

namespace remora {
namespace {

using json = nlohmann::ordered_json;

constexpr std::uint64_t kSecondNs = 1'000'000'000;
constexpr std::uint64_t kWayCountsNs = 24 * 3600 * kSecondNs;  // as in xdp/router.h

void require_topic(const std::string& topic) {
  if (const auto problem = topic_problem(topic))
    throw std::runtime_error("the topic is invalid: " + *problem);
}

// The routes that match, the most specific first.
std::vector<const Route*> matching_routes(const Config& config, const std::string& topic) {
  std::vector<const Route*> found;
  for (const Route& route : config.routes) {
    if (filter_matches(route.filter, topic)) found.push_back(&route);
  }
  std::ranges::sort(found, [](const Route* left, const Route* right) {
    return is_more_specific(left->filter, right->filter);
  });
  return found;
}

json to_json(const Route& route) {
  return {{"filter", route.filter}, {"group", route.group}, {"line", route.line}};
}

// The present entry of a client, with those of its counts that are not over.
std::optional<client> entry_of(const StatusSources& s, const client_key& key) {
  auto entry = s.maps.predictions.entry(key);
  if (entry) {
    const auto now = static_cast<__u32>(s.predictions.clock().at(monotonic_ns()));
    client_pass_time(&*entry, client_age(now), now);
  }
  return entry;
}

// null if the client has no prediction.
json prediction_of(const StatusSources& s, const std::optional<client>& entry) {
  if (!entry || entry->group == NO_GROUP) return nullptr;
  const std::uint64_t now_ns = monotonic_ns();
  const LessonClock& clock = s.predictions.clock();
  const LessonTime now = clock.at(now_ns), taught = clock.whole(entry->time, now_ns);
  const auto group = s.maps.groups.find(entry->group);
  return {{"group", s.ids.group_name(entry->group).value_or("")},
          {"configured", group && group->in_use != 0},
          {"learned_s_ago", taught < now ? (now - taught) * LESSON_UNIT_NS / kSecondNs : 0}};
}

// Where the client's connections go although it has a prediction; null: as predicted.
json way_of(const StatusSources& s, const client_key& key) {
  const auto known = s.maps.client_ways.find(key);
  if (!known || monotonic_ns() - known->seen_at_ns > kWayCountsNs) return nullptr;
  return known->way == WAY_ROUTER ? "router" : "default";
}

bool is_changing(const StatusSources& s, const std::optional<client>& entry) {
  return s.config.mispredict.changes_per_day != 0 && entry && entry->changes == CHANGING;
}

// The reals of a group that take new connections. The packet path picks by the client's address
// alone (`certain`), or by its address and port.
json reals_for(const StatusSources& s, const std::string& group_name, const Address& client) {
  json found = json::array();
  const auto number = s.steering.matching()->number_of(group_name);
  const auto group = number ? s.maps.groups.find(*number) : std::nullopt;
  if (!group) return found;
  if (group->affinity == AFFINITY_CLIENT) {
    const __u32 slot = group->vip_num * RING_SIZE + flow_hash(&client.abi(), 0) % RING_SIZE;
    const auto index = s.maps.rings.find(slot);
    const auto real = index && *index != 0 ? s.ids.real_address(*index) : std::nullopt;
    if (real) found.push_back({{"real", to_string(*real)}, {"weight", 1}});
    return found;
  }
  for (const Member& member : s.steering.reals().members(group_name)) {
    if (member.effective_weight() != 0)
      found.push_back({{"real", to_string(member.address)}, {"weight", member.effective_weight()}});
  }
  return found;
}

// The way of the next connection, and why; the order of the checks is that of xdp/open.h.
json next_of(const StatusSources& s, const Service& service, const Address& client,
             const std::optional<::client>& entry, const json& prediction, const json& way) {
  const bool is_predicted = !prediction.is_null() && prediction.at("configured").get<bool>();
  const bool changes = is_changing(s, entry);
  const bool router_serves =
      service.unknown_clients == UnknownClients::kRouter && s.routing.is_open();
  json next = {{"to", "group"}, {"because", is_predicted ? "predicted" : "unknown"}};
  if (router_serves && (is_predicted ? way == "router" || changes : way != "default")) {
    next["to"] = "router";
    if (is_predicted) next["because"] = way == "router" ? "several_groups" : "changing";
    return next;
  }
  const std::string group =
      is_predicted ? prediction.at("group").get<std::string>() : service.default_group;
  next["group"] = group;
  next["reals"] = reals_for(s, group, client);
  next["asked"] = entry && s.config.mispredict.changes_per_day != 0 && entry->doubts >= DOUBTS &&
                  entry->questions < QUESTIONS_A_DAY && !changes;
  return next;
}

// The treatment of a PUBLISH that belongs to `group`, on the client's next connection.
json publish_of(const StatusSources& s, const std::string& group,
                const std::optional<client>& entry, const json& next) {
  json publish = {{"group", group}};
  if (next.at("to") == "router") {
    publish["action"] = "routed";
  } else if (next.at("group") == group) {
    publish["action"] = "sent";
  } else {
    const auto found = std::ranges::find(s.config.groups, group, &Group::name);
    const Policy policy =
        found == s.config.groups.end() ? Policy::kKeep : policy_of(s.config, *found);
    const bool is_over = entry && entry->resets >= s.config.mispredict.resets_per_client;
    publish["policy"] = to_string(policy);
    if (policy == Policy::kReset && is_changing(s, entry)) {
      publish["action"] = "kept_changing";
    } else if (policy == Policy::kReset && is_over) {
      publish["action"] = "kept_over_limit";
    } else {
      publish["action"] = to_string(policy);
    }
  }
  return publish;
}

json at_service(const StatusSources& s, const Service& service, const Address& client,
                const std::optional<std::string>& topic) {
  const auto number = s.ids.service_number(service.at());
  const client_key key{client.abi(), number.value_or(0), 0};
  const auto entry = number ? entry_of(s, key) : std::nullopt;
  const json prediction = prediction_of(s, entry), way = way_of(s, key);
  json facts = {{"service", to_string(service.at())},
                {"name", service.name},
                {"default_group", service.default_group},
                {"prediction", prediction},
                {"way", way},
                {"connections", entry ? static_cast<std::uint64_t>(entry->connections) : 0},
                {"connections_limit", s.config.limits.connections_per_client},
                {"resets_in_a_minute", entry ? static_cast<std::uint64_t>(entry->resets) : 0},
                {"resets_limit", s.config.mispredict.resets_per_client},
                {"changing", is_changing(s, entry)},
                {"next", next_of(s, service, client, entry, prediction, way)}};
  if (topic) {
    const TopicMatching& matching = *s.steering.matching();
    const std::string group(matching.routes.match(*topic).value_or(service.default_group));
    facts["topic_is_the_last"] =
        entry && entry->topic_hash != 0 && entry->topic_hash == matching.hash(*topic);
    facts["publish"] = publish_of(s, group, entry, facts.at("next"));
  }
  return facts;
}

// ---- words ----

std::string duration(std::uint64_t seconds) {
  if (seconds >= 86400) return fmt::format("{} d {} h", seconds / 86400, seconds / 3600 % 24);
  if (seconds >= 3600) return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
  if (seconds >= 60) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  return fmt::format("{} s", seconds);
}

std::string counted(std::uint64_t number, const char* noun) {
  return fmt::format("{} {}{}", number, noun, number == 1 ? "" : "s");
}

std::string quoted(const json& text) {
  return "\"" + text.get<std::string>() + "\"";
}

std::string knowledge_in_words(const json& at) {
  const json& known = at.at("prediction");
  if (known.is_null())
    return "It has no prediction: it has not published here yet, or was forgotten for others.";
  const std::string ago = duration(known.at("learned_s_ago").get<std::uint64_t>());
  std::string text = "Its last lesson is " + ago + " old: it published a topic of group " +
                     known.at("group").get<std::string>() + ".";
  if (!known.at("configured").get<bool>())
    text += " That group is no longer configured, so the prediction does not count.";
  return text;
}

std::string reals_in_words(const json& next) {
  const json& reals = next.at("reals");
  if (reals.empty()) return "No real of the group takes new connections: packets are dropped.";
  if (reals.size() == 1)
    return "There it gets the real " + reals.at(0).at("real").get<std::string>() + ".";
  std::uint64_t all = 0;
  for (const json& real : reals) all += real.at("weight").get<std::uint64_t>();
  std::string list;
  for (const json& real : reals) {
    list +=
        fmt::format("{}{} ({} of {})", list.empty() ? "" : ", ", real.at("real").get<std::string>(),
                    real.at("weight").get<std::uint64_t>(), all);
  }
  return "There the ring picks the real by the client's address and port, in these shares: " +
         list + ".";
}

std::string next_in_words(const json& at) {
  const json& next = at.at("next");
  const std::string because = next.at("because");
  if (next.at("to") == "router") {
    if (because == "unknown")
      return "Its next connection goes to the router, which takes clients without a prediction.";
    if (because == "several_groups")
      return "Its next connection goes to the router for a day: it published to several groups, "
             "or shares its address with clients of other groups.";
    return "Its next connection goes to the router: its address keeps moving between groups.";
  }
  const std::string group = next.at("group");
  if (because == "predicted")
    return "Its next connection goes to group " + group + ", as predicted.";
  return "Its next connection goes to group " + group + ", the default group of the service.";
}

std::string publish_in_words(const json& at, const json& topic) {
  const json& publish = at.at("publish");
  const std::string action = publish.at("action"), group = publish.at("group");
  const std::string here = "A PUBLISH to " + quoted(topic) + " there ";
  if (action == "routed") return here + "is sent by the router to group " + group + ".";
  if (action == "sent") return here + "is right: the topic belongs to group " + group + ".";
  const std::string wrong = here + "is a mispredict: the topic belongs to group " + group + ". ";
  if (action == "reset")
    return wrong + "The PUBLISH is withheld, the connection is reset (policy reset of " + group +
           "), and the client's next connection goes to " + group + ".";
  if (action == "drop")
    return wrong + "The connection is silenced (policy drop of " + group +
           "); the next one goes to " + group + ".";
  const std::string stays =
      wrong + "The connection stays, and its messages reach the wrong group, ";
  if (action == "kept_over_limit")
    return stays + "because the client was reset too often in the last minute.";
  if (action == "kept_changing") return stays + "because its address keeps moving between groups.";
  return stays + "by policy keep of " + group + ".";
}

std::string route_in_words(const json& route, const std::string& topic) {
  const json& routes = route.at("routes");
  if (routes.empty())
    return "No route matches " + topic + ", so it belongs to the default group of its service.";
  std::string text = topic + " follows the route " + quoted(routes.at(0).at("filter"));
  if (const auto line = routes.at(0).value("line", 0U); line != 0)
    text += fmt::format(" (line {} of the configuration)", line);
  text += " to group " + routes.at(0).at("group").get<std::string>() + ".";
  if (routes.size() > 1) {
    text += " It is more specific than ";
    constexpr std::size_t kMost = 5;
    for (std::size_t i = 1; i < routes.size() && i <= kMost; ++i)
      text += (i == 1 ? "" : ", ") + quoted(routes.at(i).at("filter"));
    if (routes.size() > kMost + 1) text += fmt::format(" and {} more", routes.size() - 1 - kMost);
    text += ", which match as well.";
  }
  return text;
}

void add_service(std::vector<std::string>& lines, const json& at, const json& facts) {
  lines.push_back("Service " + at.at("name").get<std::string>() + " (" +
                  at.at("service").get<std::string>() + "):");
  lines.push_back(knowledge_in_words(at));
  if (at.value("topic_is_the_last", false))
    lines.push_back(quoted(facts.at("topic")) + " is the topic of that lesson.");
  lines.push_back(next_in_words(at));
  const json& next = at.at("next");
  if (next.at("to") == "group") {
    lines.push_back(reals_in_words(next));
    if (next.value("asked", false))
      lines.push_back(
          "Its SYN is first answered with a question, because it was mispredicted "
          "twice in a day: only a host that is there answers.");
  }
  if (at.at("way") == "default")
    lines.push_back("It does not speak MQTT, so the router does not take it for a day.");
  const auto connections = at.at("connections").get<std::uint64_t>();
  if (connections != 0) {
    lines.push_back(
        fmt::format("It has {} now, of at most {}. These stay where they are: only a "
                    "new connection follows the prediction.",
                    counted(connections, "tracked connection"),
                    at.at("connections_limit").get<std::uint64_t>()));
  }
  const auto resets = at.at("resets_in_a_minute").get<std::uint64_t>();
  if (resets != 0) {
    lines.push_back(
        fmt::format("It was reset {} in the last minute; after {} its connections are "
                    "kept.",
                    counted(resets, "time"), at.at("resets_limit").get<std::uint64_t>()));
  }
  if (at.at("changing").get<bool>())
    lines.push_back(
        "Its address keeps moving between groups, so its connections are not reset "
        "until a day has passed without a change.");
  if (at.contains("publish")) lines.push_back(publish_in_words(at, facts.at("topic")));
}

}  // namespace

json route_of(const StatusSources& s, const std::string& topic) {
  require_topic(topic);
  json routes = json::array(), groups = json::array();
  for (const Route* route : matching_routes(s.config, topic)) routes.push_back(to_json(*route));
  for (const Service& service : s.config.services) {
    groups.push_back(
        {{"service", to_string(service.at())},
         {"name", service.name},
         {"group", s.steering.matching()->routes.match(topic).value_or(service.default_group)}});
  }
  return {{"topic", topic}, {"routes", routes}, {"groups", groups}};
}

json facts_about(const StatusSources& s, const Address& client,
                 const std::optional<std::string>& topic) {
  json facts = {{"client", to_string(client)}, {"shadow", s.config.lb.mode == Mode::kShadow}};
  if (topic) {
    const json route = route_of(s, *topic);
    facts["topic"] = *topic;
    facts["routes"] = route.at("routes");
  }
  facts["services"] = json::array();
  for (const Service& service : s.config.services)
    facts["services"].push_back(at_service(s, service, client, topic));
  return facts;
}

std::vector<std::string> in_sentences(const json& facts) {
  std::vector<std::string> lines;
  if (facts.value("shadow", false))
    lines.push_back(
        "Shadow mode: each group has the reals of the default group, and no connection "
        "is reset or dropped.");
  if (facts.contains("routes")) lines.push_back(route_in_words(facts, quoted(facts.at("topic"))));
  for (const json& at : facts.value("services", json::array())) add_service(lines, at, facts);
  for (const json& at : facts.value("groups", json::array()))
    lines.push_back("At service " + at.at("name").get<std::string>() + " (" +
                    at.at("service").get<std::string>() + ") it belongs to group " +
                    at.at("group").get<std::string>() + ".");
  return lines;
}

}  // namespace remora
