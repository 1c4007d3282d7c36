// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/config.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <map>
#include <system_error>
#include <utility>

#include "daemon/config/checks.h"
#include "daemon/config/health_section.h"
#include "daemon/config/section.h"
#include "daemon/config/toml.h"

namespace remora {
namespace {

constexpr std::array kKnownKeys = {
    KnownKey{"lb", "interface", "\"eth0\""},
    KnownKey{"lb", "instance", "\"lb1\""},
    KnownKey{"lb", "gateway_mac", "\"auto\""},
    KnownKey{"lb", "outer_source", "[ \"10.1.2.2\", \"fc00:2::2\" ]"},
    KnownKey{"lb", "xdp_mode", "\"native\""},
    KnownKey{"lb", "forwarder", "\"embedded\""},
    KnownKey{"lb", "ring", "\"maglev-v2\""},
    KnownKey{"lb", "katran_object", "\"/usr/lib/katran/balancer.bpf.o\""},
    KnownKey{"lb", "katran_root_array", "\"/sys/fs/bpf/jmp_eth0\""},
    KnownKey{"service", "name", "\"mqtt\""},
    KnownKey{"service", "address", "\"10.1.50.200\""},
    KnownKey{"service", "port", "1883"},
    KnownKey{"service", "default_group", "\"default\""},
    KnownKey{"service", "unknown_clients", "\"default\""},
    KnownKey{"group", "name", "\"temperature\""},
    KnownKey{"group", "vip", "\"10.1.50.201\""},
    KnownKey{"group", "reals", "[ { address = \"10.1.3.101\" } ]"},
    KnownKey{"group", "policy", "\"keep\""},
    KnownKey{"group.reals", "address", "\"10.1.3.101\""},
    KnownKey{"group.reals", "weight", "1"},
    KnownKey{"route", "filter", "\"measurements/temperature\""},
    KnownKey{"route", "group", "\"temperature\""},
    KnownKey{"mispredict", "policy", "\"reset\""},
    KnownKey{"mispredict", "resets_per_second", "1000"},
    KnownKey{"mispredict", "resets_per_client", "3"},
    KnownKey{"mispredict", "session_end", "\"disconnect\""},
    KnownKey{"evacuate", "reason", "0x9C"},
    KnownKey{"health", "check", "\"mqtt\""},
    KnownKey{"health", "interval_s", "5"},
    KnownKey{"health", "timeout_s", "3"},
    KnownKey{"health", "rise", "2"},
    KnownKey{"health", "fall", "3"},
    KnownKey{"health", "username", "\"health\""},
    KnownKey{"health", "password_file", "\"/etc/remora/health.password\""},
    KnownKey{"health", "client_id", "\"remora\""},
    KnownKey{"health", "networks", "[ \"198.18.0.0/16\" ]"},
    KnownKey{"limits", "clients", "1_000_000"},
    KnownKey{"limits", "flows", "1_000_000"},
    KnownKey{"limits", "half_open", "65_536"},
    KnownKey{"limits", "topics", "8192"},
    KnownKey{"limits", "early_segments", "8192"},
    KnownKey{"limits", "groups", "64"},
    KnownKey{"limits", "idle_hours", "24"},
    KnownKey{"limits", "connections_per_client", "1024"},
    KnownKey{"limits", "events_kib", "8192"},
    KnownKey{"store", "path", "\"/var/lib/remora/history.db\""},
    KnownKey{"store", "retention_days", "90"},
};

constexpr std::array<std::string_view, 9> kTables = {
    "lb", "service", "group", "route", "mispredict", "evacuate", "health", "limits", "store"};

constexpr Range kPorts = {1, 65'535};
constexpr Range kWeights = {1, 1000};
constexpr Range kResetsPerSecond = {1, 1'000'000};
constexpr Range kResetsPerClient = {1, 1000};
constexpr Range kReasons = {0, 255};
constexpr Range kClients = {1, 100'000'000};
constexpr Range kFlows = {1, 100'000'000};
constexpr Range kHalfOpen = {1024, 16'777'216};
constexpr Range kTexts = {1024, 1'048'576};  // topics and early_segments
constexpr Range kGroups = {1, kMaxGroups};
constexpr Range kIdleHours = {1, 8760};
constexpr Range kConnectionsPerClient = {1, 1'000'000};
constexpr Range kEventsKib = {64, 1'048'576};  // 64: a whole page on every machine
constexpr Range kRetentionDays = {1, 36'500};

constexpr Word<Policy> kPolicies[] = {{"reset", Policy::kReset},
                                      {"keep", Policy::kKeep},
                                      {"drop", Policy::kDrop},
                                      {"takeover", std::nullopt}};
constexpr Word<RingVariant> kRings[] = {{"maglev-v2", RingVariant::kMaglevV2},
                                        {"maglev", RingVariant::kMaglev}};
constexpr Word<SessionEnd> kSessionEnds[] = {{"disconnect", SessionEnd::kDisconnect},
                                             {"reset", SessionEnd::kReset}};

std::vector<Word<ForwarderKind>> words_of_forwarders() {
  std::vector<Word<ForwarderKind>> words;
  for (const ForwarderTraits& forwarder : forwarder_kinds())
    words.push_back({forwarder.word, forwarder.kind});
  return words;
}

// One pass over the file's tables.
class Reader {
 public:
  Reader(const TomlTable& root, Problems& problems)
      : root_(root), problems_(problems), check_(problems) {}

  Config read() {
    report_unknown_tables();
    read_lb();
    for (const Section& section : list("service")) read_service(section);
    for (const Section& section : list("group")) read_group(section);
    for (const Section& section : list("route")) read_route(section);
    read_mispredict();
    if (const auto evacuate = single("evacuate")) read_evacuate(*evacuate);
    if (const auto health = single("health")) config_.health = read_health(*health);
    read_limits();
    read_store();
    if (!root_.find("service"))
      problems_.add(0, "there is no [[service]]; add one with name, address, port, default_group");
    if (!root_.find("group"))
      problems_.add(0, "there is no [[group]]; add one with name, vip and reals");
    check_for_katran();
    check_.finish(config_);
    check_health(config_, problems_);
    return std::move(config_);
  }

 private:
  void report_unknown_tables() {
    for (const auto& [key, line, value] : root_.entries) {
      if (std::find(kTables.begin(), kTables.end(), key) != kTables.end()) continue;
      const bool is_table = value.as<TomlTable>() || is_list_of_tables(value);
      std::string text = (is_table ? "unknown table " : "unknown key ") + in_quotes(key);
      if (const auto meant = closest(key, kTables))
        text += "; did you mean \"" + std::string(*meant) + "\"?";
      else if (const std::string home = home_of(key); !home.empty())
        text += " outside of a table; it belongs into " + home + ".";
      else
        text += '.';
      problems_.add(line, text +
                              " Known tables: [lb], [[service]], [[group]], [[route]], "
                              "[mispredict], [evacuate], [health], [limits], [store]");
    }
  }

  static bool is_list_of_tables(const TomlValue& value) {
    const auto* array = value.as<TomlArray>();
    return array && !array->empty() && array->front().as<TomlTable>();
  }

  // A table that may stand once.
  std::optional<Section> single(std::string_view name) {
    const TomlValue* value = root_.find(name);
    if (!value) return std::nullopt;
    if (value->as<TomlTable>()) return Section(*value, name, problems_);
    const std::string text(name);
    problems_.add(value->line, "\"" + text + "\" must be one table; write [" + text + "]");
    return std::nullopt;
  }

  // A table that may stand several times.
  std::vector<Section> list(std::string_view name) {
    std::vector<Section> sections;
    const TomlValue* value = root_.find(name);
    if (!value) return sections;
    const auto* array = value->as<TomlArray>();
    const std::string remedy = "; write [[" + std::string(name) + "]] above each entry";
    if (!array || array->empty()) {
      problems_.add(value->line, "\"" + std::string(name) + "\" must be a list of tables" + remedy);
      return sections;
    }
    for (const TomlValue& element : *array) {
      if (element.as<TomlTable>())
        sections.emplace_back(element, name, problems_);
      else
        problems_.add(element.line, "\"" + std::string(name) + "\" must hold tables" + remedy);
    }
    return sections;
  }

  // A text that passes `problem_of`, one of the rules of config_check.h.
  template <class Rule>
  std::optional<Found<std::string>> accepted(const Section& section, std::string_view key,
                                             std::optional<Found<std::string>> found,
                                             Rule problem_of) {
    if (!found) return std::nullopt;
    const auto problem = problem_of(found->value);
    if (!problem) return found;
    section.report(key, found->line, *problem);
    return std::nullopt;
  }

  template <class Rule>
  std::optional<Found<std::string>> required(const Section& section, std::string_view key,
                                             Rule problem_of) {
    return accepted(section, key, section.required_text(key), problem_of);
  }

  template <class Rule>
  std::optional<Found<std::string>> optional(const Section& section, std::string_view key,
                                             Rule problem_of) {
    return accepted(section, key, section.text(key), problem_of);
  }

  static void number(const Section& section, std::string_view key, Range range,
                     std::uint32_t& value) {
    if (const auto found = section.number(key, range)) value = found->value;
  }

  void read_lb() {
    const auto section = single("lb");
    if (!root_.find("lb")) problems_.add(0, "there is no [lb]; add it with the interface");
    if (!section) return;
    Lb& lb = config_.lb;

    const auto interface = required(*section, "interface", interface_problem);
    if (interface) {
      lb.interface = interface->value;
      lb.interface_line = interface->line;
    }
    const auto instance = optional(*section, "instance", instance_problem);
    if (instance) lb.instance = instance->value;
    if (interface && !section->has("instance")) {
      lb.instance = interface->value;
      if (instance_problem(lb.instance))
        section->report("instance", interface->line,
                        "is needed: the interface's name " + in_quotes(lb.instance) +
                            " cannot stand for it, because the BPF file system takes A-Z a-z 0-9 "
                            "_ - only");
    }
    if (const auto mac = optional(*section, "gateway_mac", mac_problem))
      lb.gateway_mac = MacAddress::parse(mac->value);
    read_outer_source(*section);
    if (const auto mode = section->word<XdpMode>(
            "xdp_mode", {{"native", XdpMode::kNative}, {"generic", XdpMode::kGeneric}}))
      lb.xdp_mode = *mode;
    if (const auto forwarder = section->word<ForwarderKind>("forwarder", words_of_forwarders()))
      lb.forwarder = *forwarder;
    if (const auto ring = section->word("ring", kRings)) lb.ring = *ring;
    read_katran(*section);
  }

  void read_katran(const Section& section) {
    const ForwarderTraits& forwarder = traits_of(config_.lb.forwarder);
    const auto read = [&](std::string_view key, std::filesystem::path& path) {
      if (const auto found = optional(section, key, path_problem)) path = found->value;
      if (forwarder.needed_key == key && !section.has(key))
        section.report(key, section.line(),
                       "is needed by forwarder = " + in_quotes(std::string(forwarder.word)));
    };
    read("katran_object", config_.lb.katran_object);
    read("katran_root_array", config_.lb.katran_root_array);
    if (!forwarder.takes_outer_source && section.has("outer_source"))
      section.report("outer_source", section.texts("outer_source").front().line,
                     "is for the embedded forwarder only: Katran has its own");
  }

  // What Katran needs, which finds a group by the VIP in the packet alone.
  void check_for_katran() {
    if (!traits_of(config_.lb.forwarder).finds_groups_by_vip) return;
    std::map<std::uint16_t, std::uint32_t> ports;
    for (const Service& service : config_.services) {
      const auto [earlier, is_new] = ports.try_emplace(service.port, service.line);
      if (!is_new)
        problems_.add(service.line,
                      "behind Katran every service needs a port of its own, by which "
                      "brokers know it, but that in line " +
                          std::to_string(earlier->second) + " has the same");
    }
    if (config_.services.empty()) return;
    const bool is_ipv4 = config_.services.front().address.is_ipv4();
    const std::string family = is_ipv4 ? "IPv4" : "IPv6";
    for (const Service& service : config_.services)
      if (service.address.is_ipv4() != is_ipv4)
        problems_.add(service.line,
                      "behind Katran all services must be of one family, that of "
                      "the VIPs; the first is " +
                          family);
    for (const Group& group : config_.groups)
      if (group.vip.is_ipv4() != is_ipv4)
        problems_.add(group.line,
                      "behind Katran a VIP must be of the services' family, which is " + family);
  }

  // "katran", or an address, or one of each family.
  void read_outer_source(const Section& section) {
    const auto found = section.texts("outer_source");
    if (found.size() == 1 && found.front().value == "katran") return;
    for (const auto& [text, line] : found) {
      if (const auto problem = address_problem(text)) {
        section.report("outer_source", line, *problem + "; or \"katran\" alone");
        continue;
      }
      const Address address = *Address::parse(text);
      auto& of_family = address.is_ipv4() ? config_.lb.outer_source4 : config_.lb.outer_source6;
      if (of_family)
        section.report("outer_source", line,
                       "is " + in_quotes(text) + " and " + to_string(*of_family) +
                           ", but must be one address of each family at most");
      of_family = address;
      check_.outer_source(address, line);
    }
  }

  void read_service(const Section& section) {
    Service service;
    service.line = section.line();
    if (const auto name = required(section, "name", name_problem)) {
      service.name = name->value;
      check_.service_name(*name);
    }
    const auto address = required(section, "address", address_problem);
    const auto port = section.required_number("port", kPorts);
    if (address) service.address = *Address::parse(address->value);
    if (port) service.port = static_cast<std::uint16_t>(port->value);
    if (address) check_.service_address(service.address, address->line);
    if (address && port) check_.endpoint(service.address, service.port, address->line);
    if (const auto group = required(section, "default_group", name_problem)) {
      service.default_group = group->value;
      check_.group_reference(*group);
    }
    // One word so far, so nothing to keep.
    section.word<bool>("unknown_clients", {{"default", true}, {"slow-path", std::nullopt}});
    config_.services.push_back(std::move(service));
  }

  void read_group(const Section& section) {
    Group group;
    group.line = section.line();
    if (const auto name = required(section, "name", name_problem)) {
      group.name = name->value;
      check_.group_name(*name);
    }
    if (const auto vip = required(section, "vip", address_problem)) {
      group.vip = *Address::parse(vip->value);
      check_.vip(group.vip, vip->line);
    }
    group.policy = section.word("policy", kPolicies);
    check_.begin_group();
    if (!traits_of(config_.lb.forwarder).has_our_reals) {
      if (section.has("reals"))
        problems_.add(section.line(),
                      "the reals of a [[group]] are those that the Katran server has for its VIP; "
                      "leave \"reals\" out, or choose another forwarder");
      config_.groups.push_back(std::move(group));
      return;
    }
    for (const Section& entry : section.tables("reals", "group.reals"))
      if (const auto real = read_real(entry)) group.reals.push_back(*real);
    config_.groups.push_back(std::move(group));
  }

  std::optional<Real> read_real(const Section& section) {
    Real real;
    real.line = section.line();
    number(section, "weight", kWeights, real.weight);
    const auto address = required(section, "address", address_problem);
    if (!address) return std::nullopt;
    real.address = *Address::parse(address->value);
    check_.real(real.address, address->line);
    return real;
  }

  void read_route(const Section& section) {
    Route route;
    route.line = section.line();
    if (const auto filter = required(section, "filter", route_filter_problem)) {
      route.filter = filter->value;
      check_.filter(*filter);
    }
    if (const auto group = required(section, "group", name_problem)) {
      route.group = group->value;
      check_.group_reference(*group);
    }
    config_.routes.push_back(std::move(route));
  }

  void read_mispredict() {
    const auto section = single("mispredict");
    if (!section) return;
    Mispredict& mispredict = config_.mispredict;
    if (const auto policy = section->word("policy", kPolicies)) mispredict.policy = *policy;
    number(*section, "resets_per_second", kResetsPerSecond, mispredict.resets_per_second);
    number(*section, "resets_per_client", kResetsPerClient, mispredict.resets_per_client);
    if (const auto end = section->word("session_end", kSessionEnds)) mispredict.session_end = *end;
  }

  void read_evacuate(const Section& section) {
    const auto reason = section.number("reason", kReasons);
    if (!reason) return;
    config_.evacuate.reason = static_cast<std::uint8_t>(reason->value);
    if (const auto problem = farewell_problem(reason->value))
      section.report("reason", reason->line, *problem);
  }

  void read_limits() {
    const auto section = single("limits");
    if (!section) return;
    Limits& limits = config_.limits;
    limits.line = section->line();
    number(*section, "clients", kClients, limits.clients);
    number(*section, "flows", kFlows, limits.flows);
    number(*section, "half_open", kHalfOpen, limits.half_open);
    number(*section, "topics", kTexts, limits.topics);
    number(*section, "early_segments", kTexts, limits.early_segments);
    number(*section, "groups", kGroups, limits.groups);
    number(*section, "idle_hours", kIdleHours, limits.idle_hours);
    number(*section, "connections_per_client", kConnectionsPerClient,
           limits.connections_per_client);
    if (const auto events = section->number("events_kib", kEventsKib)) {
      limits.events_kib = events->value;
      if (const auto problem = ring_size_problem(events->value))
        section->report("events_kib", events->line, *problem);
    }
  }

  void read_store() {
    const auto section = single("store");
    if (!section) return;
    if (const auto path = optional(*section, "path", path_problem)) {
      config_.store.path = path->value;
      config_.store.path_line = path->line;
    }
    number(*section, "retention_days", kRetentionDays, config_.store.retention_days);
  }

  const TomlTable& root_;
  Problems& problems_;
  ConfigCheck check_;
  Config config_;
};

}  // namespace

std::span<const KnownKey> known_keys() {
  return kKnownKeys;
}

Config parse_config(std::string_view text, std::string_view name) {
  const TomlValue root = parse_toml(text, name);
  Problems problems;
  Config config = Reader(*root.as<TomlTable>(), problems).read();
  if (!problems.empty()) throw ConfigError(name, problems.take());
  config.file = name;
  config.text = text;
  return config;
}

std::string read_config_file(const std::filesystem::path& path) {
  const auto refuse = [&](int cause) {
    throw ConfigError(path.native(),
                      {{0, "the file cannot be read: " + std::generic_category().message(cause)}});
  };
  std::ifstream file(path, std::ios::binary);
  if (!file) refuse(errno);
  std::string text;
  try {
    text.assign(std::istreambuf_iterator<char>(file), {});
  } catch (const std::ios_base::failure&) {  // a directory, for one
    refuse(errno);
  }
  return text;
}

Config load_config(const std::filesystem::path& path) {
  return parse_config(read_config_file(path), path.native());
}

Policy policy_of(const Config& config, const Group& group) {
  return group.policy.value_or(config.mispredict.policy);
}

std::string_view to_string(Policy policy) {
  for (const Word<Policy>& candidate : kPolicies)
    if (candidate.value == policy) return candidate.word;
  return "unknown";
}

}  // namespace remora
