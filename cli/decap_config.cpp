// SPDX-License-Identifier: Apache-2.0
#include "cli/decap_config.h"

#include <algorithm>
#include <map>
#include <utility>

#include "bpf/decap.h"
#include "daemon/config/fields.h"

namespace remora {
namespace {

struct SourcesAccess {
  using Owner = DecapConfig;

  static void read(const Section& section, std::string_view key, DecapConfig& config) {
    const auto networks = section.texts(key);
    for (const auto& [text, line] : networks) {
      const auto network = Prefix::parse(text);
      if (!network) {
        section.report(key, line,
                       "is " + in_quotes(text) +
                           ", but must be a network with its prefix length, and no bits set after "
                           "the prefix");
      } else if (std::ranges::find(config.from, *network) == config.from.end()) {
        config.from.push_back(*network);
      }
    }
    if (config.from.size() > MAX_DECAP_NETWORKS)
      section.report(key, section.line_of(key),
                     "has more than " + std::to_string(MAX_DECAP_NETWORKS) +
                         " networks, which is all that the program has room for");
  }
  static std::string show(const DecapConfig& config) {
    std::string list;
    for (const Prefix& network : config.from)
      list += (list.empty() ? "[ " : ", ") + toml_text(to_string(network));
    return list.empty() ? "" : list + " ]";
  }
};

constexpr Table kTables[] = {
    {"", "the file"},
    {"service", "[[service]]"},
    {"vip", "[[vip]]"},
};

constexpr Key kRows[] = {
    {.table = "",
     .name = "interface",
     .field = text<&DecapConfig::interface>(interface_problem),
     .meaning = "The interface on which the load balancer's packets arrive, if the command line "
                "does not name it (the unit does).",
     .default_words = "none",
     .example = "\"eth0\""},
    {.table = "",
     .name = "xdp_mode",
     .field = one_of<kXdpModes, &DecapConfig::xdp_mode>(),
     .meaning = "How XDP is attached to the interface."},
    {.table = "",
     .name = "from",
     .field = {.type = "string, or array of strings", .binding = Binding::to<SourcesAccess>()},
     .meaning = "Networks that outer headers may come from. Sources can be forged, so this is a "
                "second fence and no authentication.",
     .details = "Packets from other outer sources are dropped and counted.",
     .default_words = "any source may send",
     .example = "[ \"172.16.0.0/16\" ]"},
    {.table = "service",
     .name = "address",
     .field = address_text<&ServiceAt::address>(),
     .presence = Presence::kRequired,
     .meaning = "The address of a service of this broker.",
     .details = "Nothing but packets to services passes from the tunnel into this host.",
     .example = "\"10.1.50.200\""},
    {.table = "service",
     .name = "port",
     .field = number<&ServiceAt::port>({1, 65'535}),
     .presence = Presence::kRequired,
     .meaning = "The service's port.",
     .example = "1883"},
    {.table = "vip",
     .name = "vip",
     .field = address_text<&DecapVip::vip>(),
     .presence = Presence::kRequired,
     .meaning = "The VIP of a group that this broker belongs to.",
     .example = "\"10.1.50.201\""},
    {.table = "vip",
     .name = "service",
     .field = address_text<&DecapVip::service>(),
     .presence = Presence::kRequired,
     .meaning = "The service address that packets to the VIP get, of the same family.",
     .example = "\"10.1.50.200\""},
    {.table = "vip",
     .name = "port",
     .field = number<&DecapVip::port>({1, 65'535}),
     .meaning = "The service's port, to tell several services of one VIP apart.",
     .details =
         "With it, the entry applies only to packets to that port and takes precedence over "
         "the entry of the same VIP without one. Without it, the service needs a [[service]].",
     .default_words = "any",
     .example = "1883"},
};

class Reader {
 public:
  explicit Reader(Problems& problems) : problems_(problems) {}

  DecapConfig read(const TomlValue& file) {
    const Section root(file, "", decap_keys(), problems_);
    root.read(config_);
    for (const Section& section : root.list("service")) read_service(section);
    for (const Section& section : root.list("vip")) read_vip(section);
    finish();
    limit(root.line_of("vip"), config_.vips.size(), MAX_DECAP_VIPS, "[[vip]]");
    limit(root.line_of("service"), config_.services.size(), MAX_DECAP_SERVICES, "services");
    return std::move(config_);
  }

 private:
  void limit(std::uint32_t line, std::size_t entries, std::size_t most, const std::string& what) {
    if (entries > most)
      problems_.add(line, "there are more than " + std::to_string(most) + " " + what +
                              ", which is all that the program has room for");
  }

  void read_service(const Section& section) {
    ServiceAt entry;
    section.read(entry);
    if (!entry.address.is_unspecified() && entry.port != 0) add_service(config_.services, entry);
  }

  void read_vip(const Section& section) {
    DecapVip entry;
    section.read(entry);
    const auto& [vip, service, port] = entry;
    if (vip.is_unspecified() || service.is_unspecified()) return;
    if (vip.is_ipv4() != service.is_ipv4())
      problems_.add(section.line(), "the VIP " + to_string(vip) + " and the service " +
                                        to_string(service) + " must both be IPv4 or both IPv6");
    const auto [earlier, is_new] = lines_.try_emplace({vip, port}, section.line());
    if (!is_new)
      problems_.add(section.line(), "the VIP " + to_string(vip) + " has the same port in line " +
                                        std::to_string(earlier->second) +
                                        "; one of the two needs another \"port\"");
    config_.vips.push_back(entry);
  }

  // Checks that need all entries. A packet passes by the address and port of a service.
  void finish() {
    for (const DecapVip& entry : config_.vips) {
      if (entry.port != 0) add_service(config_.services, {entry.service, entry.port});
    }
    for (const DecapVip& entry : config_.vips) {
      const bool has_port = std::ranges::any_of(config_.services, [&](const ServiceAt& service) {
        return service.address == entry.service;
      });
      if (has_port) continue;
      problems_.add(lines_.at({entry.vip, entry.port}),
                    "no port of the service " + to_string(entry.service) +
                        " is known, and packets to other ports are dropped; add a [[service]] "
                        "with address and port, or a \"port\" here");
    }
  }

  Problems& problems_;
  DecapConfig config_;
  std::map<std::pair<Address, std::uint16_t>, std::uint32_t> lines_;  // by VIP and port
};

}  // namespace

const Keys& decap_keys() {
  static constexpr Keys kKeys(kTables, kRows);
  return kKeys;
}

DecapConfig parse_decap_config(std::string_view text, std::string_view name) {
  const TomlValue root = parse_toml(text, name);
  Problems problems;
  DecapConfig config = Reader(problems).read(root);
  if (!problems.empty()) throw ConfigError(name, problems.take());
  return config;
}

void add_service(std::vector<ServiceAt>& services, const ServiceAt& service) {
  const auto place = std::ranges::lower_bound(services, service);
  if (place == services.end() || *place != service) services.insert(place, service);
}

DecapConfig load_decap_config(const std::filesystem::path& path) {
  return parse_decap_config(read_config_file(path), path.native());
}

}  // namespace remora
