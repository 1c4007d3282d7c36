// SPDX-License-Identifier: Apache-2.0
#include "cli/decap_config.h"

#include <map>
#include <utility>

#include "daemon/config/fields.h"

namespace remora {
namespace {

constexpr Table kTables[] = {
    {"", "the file"},
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
     .details = "With it, the entry applies only to packets to that port and takes precedence over "
                "the entry of the same VIP without one.",
     .default_words = "any",
     .example = "1883"},
};

class Reader {
 public:
  explicit Reader(Problems& problems) : problems_(problems) {}

  DecapConfig read(const TomlValue& file) {
    const Section root(file, "", decap_keys(), problems_);
    root.read(config_);
    for (const Section& section : root.list("vip")) read_vip(section);
    if (config_.vips.size() > MAX_DECAP_VIPS)
      problems_.add(root.line_of("vip"),
                    "there are more than " + std::to_string(MAX_DECAP_VIPS) +
                        " [[vip]], which is all that the program has room for");
    return std::move(config_);
  }

 private:
  void read_vip(const Section& section) {
    DecapVip entry;
    section.read(entry);
    const auto& [vip, service, port] = entry;
    if (vip.is_unspecified() || service.is_unspecified()) return;
    if (vip.is_ipv4() != service.is_ipv4())
      problems_.add(section.line(), "the VIP " + to_string(vip) + " and the service " +
                                        to_string(service) + " must both be IPv4 or both IPv6");
    const auto [earlier, is_new] = taken_.try_emplace({vip, port}, section.line());
    if (!is_new)
      problems_.add(section.line(), "the VIP " + to_string(vip) + " has the same port in line " +
                                        std::to_string(earlier->second) +
                                        "; one of the two needs another \"port\"");
    config_.vips.push_back(entry);
  }

  Problems& problems_;
  DecapConfig config_;
  std::map<std::pair<Address, std::uint16_t>, std::uint32_t> taken_;
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

DecapConfig load_decap_config(const std::filesystem::path& path) {
  return parse_decap_config(read_config_file(path), path.native());
}

}  // namespace remora
