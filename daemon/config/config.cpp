// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/config.h"

#include <cerrno>
#include <fstream>
#include <iterator>
#include <map>
#include <system_error>
#include <utility>

#include "daemon/config/checks.h"
#include "daemon/config/health_rules.h"
#include "daemon/config/keys.h"
#include "daemon/config/section.h"
#include "daemon/config/shadow.h"
#include "daemon/config/toml.h"

namespace remora {
namespace {

// One pass over the file's tables.
class Reader {
 public:
  Reader(const TomlValue& root, Problems& problems)
      : root_(root, "", config_keys(), problems), problems_(problems), check_(problems) {}

  Config read() {
    read_lb();
    for (const Section& section : root_.list("service")) read_service(section);
    for (const Section& section : root_.list("group")) read_group(section);
    for (const Section& section : root_.list("route")) read_route(section);
    for (const char* table : {"mispredict", "router", "evacuate", "limits", "store"})
      read_table(table);
    if (const auto health = read_table("health")) check_health_keys(*health, config_.health);
    if (!root_.has("service"))
      problems_.add(0, "there is no [[service]]; add one with name, address, port, default_group");
    if (!root_.has("group")) problems_.add(0, "there is no [[group]]; add one with name and reals");
    check_for_katran();
    check_.finish(config_);
    check_health(config_, problems_);
    put_into_shadow(config_, problems_);
    return std::move(config_);
  }

 private:
  // Reads a table that may occur once into the configuration.
  std::optional<Section> read_table(std::string_view name) {
    const auto section = root_.table(name);
    if (!section) return std::nullopt;
    section->read(config_);
    config_.lines[{name, {}}] = section->line();
    for (const Key* key : config_keys().of(name))
      if (section->has(key->name)) config_.lines[{name, key->name}] = section->line_of(key->name);
    return section;
  }

  void read_lb() {
    if (!root_.has("lb")) problems_.add(0, "there is no [lb]; add it with the interface");
    const auto section = read_table("lb");
    if (!section) return;
    Lb& lb = config_.lb;
    if (!lb.interface.empty() && !section->has("instance")) {
      lb.instance = lb.interface;
      if (instance_problem(lb.instance))
        section->report("instance", section->line_of("interface"),
                        "is needed: the interface's name " + in_quotes(lb.instance) +
                            " cannot stand for it, because the BPF file system takes A-Z a-z 0-9 "
                            "_ - only");
    }
    const ForwarderTraits& forwarder = traits_of(lb.forwarder);
    if (!forwarder.needed_key.empty() && !section->has(forwarder.needed_key))
      section->report(forwarder.needed_key, section->line(),
                      "is needed by forwarder = " + in_quotes(forwarder.word));
    const std::uint32_t source_line = section->line_of("outer_source");
    if (!forwarder.takes_outer_source && section->has("outer_source"))
      section->report("outer_source", source_line,
                      "is for the embedded forwarder only: Katran has its own");
    for (const auto& source : {lb.outer_source4, lb.outer_source6})
      if (source) check_.outer_source(*source, source_line);
  }

  // Checks the needs of Katran, which finds a group only by the VIP in the packet.
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
      if (!group.vip.is_unspecified() && group.vip.is_ipv4() != is_ipv4)
        problems_.add(group.line,
                      "behind Katran a VIP must be of the services' family, which is " + family);
  }

  void read_service(const Section& section) {
    Service service;
    service.line = section.line();
    section.read(service);
    const std::uint32_t address_line = section.line_of("address");
    const bool has_address = !service.address.is_unspecified();
    if (!service.name.empty()) check_.service_name({service.name, section.line_of("name")});
    if (has_address) check_.service_address(service.address, address_line);
    if (has_address && service.port != 0)
      check_.endpoint(service.address, service.port, address_line);
    if (!service.default_group.empty())
      check_.group_reference({service.default_group, section.line_of("default_group")});
    if (!traits_of(config_.lb.forwarder).has_our_reals) {
      if (section.has("unknown_clients") && service.unknown_clients == UnknownClients::kRouter)
        section.report("unknown_clients", section.line_of("unknown_clients"),
                       "cannot be \"router\" here: only the Katran server knows the reals");
      service.unknown_clients = UnknownClients::kDefault;
    }
    config_.services.push_back(std::move(service));
  }

  void read_group(const Section& section) {
    Group group;
    group.line = section.line();
    section.read(group);
    if (!group.name.empty()) check_.group_name({group.name, section.line_of("name")});
    if (!group.vip.is_unspecified())
      check_.vip(group.vip, section.line_of("vip"));
    else if (traits_of(config_.lb.forwarder).finds_groups_by_vip && !section.has("vip"))
      problems_.add(section.line(), "[[group]] has no \"vip\", by which Katran finds it");
    if (!traits_of(config_.lb.forwarder).has_our_reals && section.has("affinity"))
      section.report("affinity", section.line_of("affinity"),
                     "is a flag of the VIP in the Katran server (NO_SPORT); leave it out here");
    check_.begin_group();
    if (traits_of(config_.lb.forwarder).has_our_reals) {
      for (const Section& entry : section.entries("reals", "group.reals")) read_real(entry, group);
    } else if (section.has("reals")) {
      problems_.add(section.line(),
                    "the reals of a [[group]] are those that the Katran server has for its VIP; "
                    "leave \"reals\" out, or choose another forwarder");
    }
    config_.groups.push_back(std::move(group));
  }

  void read_real(const Section& section, Group& group) {
    Real real;
    real.line = section.line();
    section.read(real);
    if (real.address.is_unspecified()) return;
    check_.real(real.address, section.line_of("address"));
    group.reals.push_back(real);
  }

  void read_route(const Section& section) {
    Route route;
    route.line = section.line();
    section.read(route);
    if (!route.filter.empty()) check_.filter({route.filter, section.line_of("filter")});
    if (!route.group.empty()) check_.group_reference({route.group, section.line_of("group")});
    config_.routes.push_back(std::move(route));
  }

  const Section root_;
  Problems& problems_;
  ConfigCheck check_;
  Config config_;
};

// The word in the file for an enum's value.
template <class Enum>
std::string_view word_in_file(std::string_view table, std::string_view key, Enum value) {
  return word_of(config_keys().find(table, key).field.words, static_cast<std::uint8_t>(value));
}

}  // namespace

Config parse_config(std::string_view text, std::string_view name) {
  const TomlValue root = parse_toml(text, name);
  Problems problems;
  Config config = Reader(root, problems).read();
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
  } catch (const std::ios_base::failure&) {  // for example, it is a directory
    refuse(errno);
  }
  return text;
}

Config load_config(const std::filesystem::path& path) {
  return parse_config(read_config_file(path), path.native());
}

Endpoint router_endpoint(const Service& service, const Group& group, const Real& real) {
  std::uint16_t port = real.port != 0 ? real.port : service.port;
  if (group.proxy_port != 0) port = group.proxy_port;
  return Endpoint::at(real.address, port);
}

Policy policy_of(const Config& config, const Group& group) {
  return config.lb.mode == Mode::kShadow ? Policy::kKeep : configured_policy_of(config, group);
}

Policy configured_policy_of(const Config& config, const Group& group) {
  return group.policy.value_or(config.mispredict.policy);
}

std::uint32_t Config::line_of(std::string_view table, std::string_view key) const {
  const auto found = lines.find({table, key});
  return found == lines.end() ? 0 : found->second;
}

std::string_view to_string(Policy policy) {
  return word_in_file("mispredict", "policy", policy);
}

std::string_view to_string(CheckKind kind) {
  return word_in_file("health", "check", kind);
}

}  // namespace remora
