// SPDX-License-Identifier: Apache-2.0
#include "cli/decap_config.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "daemon/config/checks.h"
#include "daemon/config/toml.h"

namespace remora {
namespace {

constexpr std::array<std::string_view, 3> kFileKeys = {"interface", "xdp_mode", "vip"};
constexpr std::array<std::string_view, 3> kVipKeys = {"vip", "service", "port"};
constexpr std::int64_t kHighestPort = 65'535;

class Reader {
 public:
  explicit Reader(Problems& problems) : problems_(problems) {}

  DecapConfig read(const TomlTable& root) {
    report_unknown(root, kFileKeys, "in the file");
    if (const auto interface = text(root, "interface", interface_problem))
      config_.interface = *interface;
    read_mode(root);
    const TomlValue* vips = root.find("vip");
    if (!vips) return std::move(config_);
    const auto* entries = vips->as<TomlArray>();
    const auto is_table = [](const TomlValue& entry) { return entry.as<TomlTable>() != nullptr; };
    if (!entries || entries->empty() || !std::ranges::all_of(*entries, is_table)) {
      problems_.add(vips->line, "\"vip\" must be a list of tables; write [[vip]] above each");
      return std::move(config_);
    }
    for (const TomlValue& entry : *entries) read_vip(entry);
    if (config_.vips.size() > MAX_DECAP_VIPS)
      problems_.add(vips->line, "there are more than " + std::to_string(MAX_DECAP_VIPS) +
                                    " [[vip]], which is all that the program holds");
    return std::move(config_);
  }

 private:
  void report_unknown(const TomlTable& table, std::span<const std::string_view> known,
                      const std::string& where) {
    for (const auto& [key, line, value] : table.entries) {
      if (std::ranges::find(known, key) != known.end()) continue;
      std::string problem = "unknown key " + in_quotes(key) + " " + where;
      if (const auto meant = closest(key, known))
        problem += "; did you mean \"" + std::string(*meant) + "\"?";
      problems_.add(line, problem);
    }
  }

  template <class Rule>
  std::optional<std::string> text(const TomlTable& table, std::string_view key, Rule rule) {
    const TomlValue* value = table.find(key);
    if (!value) return std::nullopt;
    const auto* string = value->as<std::string>();
    if (!string) {
      problems_.add(value->line, "\"" + std::string(key) + "\" must be a string");
      return std::nullopt;
    }
    if (const auto problem = rule(*string)) {
      problems_.add(value->line, "\"" + std::string(key) + "\" " + *problem);
      return std::nullopt;
    }
    return *string;
  }

  void read_mode(const TomlTable& root) {
    const auto rule = [](std::string_view word) -> std::optional<std::string> {
      if (word == "native" || word == "generic") return std::nullopt;
      return "is " + in_quotes(word) + ", but must be \"native\" or \"generic\"";
    };
    if (const auto mode = text(root, "xdp_mode", rule))
      config_.xdp_mode = *mode == "generic" ? XdpMode::kGeneric : XdpMode::kNative;
  }

  std::optional<Address> address(const TomlValue& entry, std::string_view key) {
    const TomlTable& table = *entry.as<TomlTable>();
    if (!table.find(key))
      problems_.add(entry.line, "[[vip]] has no \"" + std::string(key) + "\"; add for example " +
                                    std::string(key) + " = \"10.1.50.201\"");
    const auto found = text(table, key, address_problem);
    return found ? Address::parse(*found) : std::nullopt;
  }

  // 0, any, when there is none.
  std::optional<std::uint16_t> port(const TomlTable& table) {
    const TomlValue* value = table.find("port");
    if (!value) return 0;
    const auto* number = value->as<std::int64_t>();
    if (number && *number >= 1 && *number <= kHighestPort)
      return static_cast<std::uint16_t>(*number);
    problems_.add(value->line, "\"port\" must be an integer from 1 to 65535");
    return std::nullopt;
  }

  void read_vip(const TomlValue& entry) {
    const TomlTable& table = *entry.as<TomlTable>();
    report_unknown(table, kVipKeys, "in [[vip]]");
    const auto vip = address(entry, "vip"), service = address(entry, "service");
    const auto of_port = port(table);
    if (!vip || !service || !of_port) return;
    if (vip->is_ipv4() != service->is_ipv4())
      problems_.add(entry.line, "the VIP " + to_string(*vip) + " and the service " +
                                    to_string(*service) + " must both be IPv4 or both IPv6");
    const auto [earlier, is_new] = taken_.try_emplace({*vip, *of_port}, entry.line);
    if (!is_new)
      problems_.add(entry.line, "the VIP " + to_string(*vip) + " has the same port in line " +
                                    std::to_string(earlier->second) +
                                    "; one of the two needs another \"port\"");
    config_.vips.push_back({*vip, *service, *of_port});
  }

  Problems& problems_;
  DecapConfig config_;
  std::map<std::pair<Address, std::uint16_t>, std::uint32_t> taken_;
};

}  // namespace

DecapConfig parse_decap_config(std::string_view text, std::string_view name) {
  const TomlValue root = parse_toml(text, name);
  Problems problems;
  DecapConfig config = Reader(problems).read(*root.as<TomlTable>());
  if (!problems.empty()) throw ConfigError(name, problems.take());
  return config;
}

DecapConfig load_decap_config(const std::filesystem::path& path) {
  return parse_decap_config(read_config_file(path), path.native());
}

}  // namespace remora
