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
#include "daemon/config/section.h"
#include "daemon/config/text.h"

namespace remora {
namespace {

constexpr std::array<std::string_view, 3> kFileKeys = {"interface", "xdp_mode", "vip"};
constexpr std::array<std::string_view, 3> kVipKeys = {"vip", "service", "port"};
constexpr std::int64_t kHighestPort = 65'535;

std::uint32_t line_of(const toml::node& node) {
  return node.source().begin.line;
}

class Reader {
 public:
  explicit Reader(Problems& problems) : problems_(problems) {}

  DecapConfig read(const toml::table& root) {
    report_unknown(root, kFileKeys, "in the file");
    if (const auto interface = text(root, "interface", interface_problem))
      config_.interface = *interface;
    read_mode(root);
    const toml::node* vips = root.get("vip");
    if (!vips) return std::move(config_);
    if (!vips->is_array_of_tables()) {
      problems_.add(line_of(*vips), "\"vip\" must be a list of tables; write [[vip]] above each");
      return std::move(config_);
    }
    for (const toml::node& entry : *vips->as_array()) read_vip(*entry.as_table());
    if (config_.vips.size() > MAX_DECAP_VIPS)
      problems_.add(line_of(*vips), "there are more than " + std::to_string(MAX_DECAP_VIPS) +
                                        " [[vip]], which is all that the program holds");
    return std::move(config_);
  }

 private:
  void report_unknown(const toml::table& table, std::span<const std::string_view> known,
                      const std::string& where) {
    for (const auto& [key, value] : table) {
      if (std::ranges::find(known, key.str()) != known.end()) continue;
      std::string problem = "unknown key " + in_quotes(key.str()) + " " + where;
      if (const auto meant = closest(key.str(), known))
        problem += "; did you mean \"" + std::string(*meant) + "\"?";
      problems_.add(key.source().begin.line, problem);
    }
  }

  template <class Rule>
  std::optional<std::string> text(const toml::table& table, std::string_view key, Rule rule) {
    const toml::node* node = table.get(key);
    if (!node) return std::nullopt;
    const auto* string = node->as_string();
    if (!string) {
      problems_.add(line_of(*node), "\"" + std::string(key) + "\" must be a string");
      return std::nullopt;
    }
    if (const auto problem = rule(**string)) {
      problems_.add(line_of(*node), "\"" + std::string(key) + "\" " + *problem);
      return std::nullopt;
    }
    return **string;
  }

  void read_mode(const toml::table& root) {
    const auto rule = [](std::string_view word) -> std::optional<std::string> {
      if (word == "native" || word == "generic") return std::nullopt;
      return "is " + in_quotes(word) + ", but must be \"native\" or \"generic\"";
    };
    if (const auto mode = text(root, "xdp_mode", rule))
      config_.xdp_mode = *mode == "generic" ? XdpMode::kGeneric : XdpMode::kNative;
  }

  std::optional<Address> address(const toml::table& table, std::string_view key) {
    if (!table.contains(key))
      problems_.add(line_of(table), "[[vip]] has no \"" + std::string(key) +
                                        "\"; add for example " + std::string(key) +
                                        " = \"10.1.50.201\"");
    const auto found = text(table, key, address_problem);
    return found ? Address::parse(*found) : std::nullopt;
  }

  // 0, any, when there is none.
  std::optional<std::uint16_t> port(const toml::table& table) {
    const toml::node* node = table.get("port");
    if (!node) return 0;
    const auto* number = node->as_integer();
    if (number && **number >= 1 && **number <= kHighestPort)
      return static_cast<std::uint16_t>(**number);
    problems_.add(line_of(*node), "\"port\" must be an integer from 1 to 65535");
    return std::nullopt;
  }

  void read_vip(const toml::table& table) {
    report_unknown(table, kVipKeys, "in [[vip]]");
    const auto vip = address(table, "vip"), service = address(table, "service");
    const auto of_port = port(table);
    if (!vip || !service || !of_port) return;
    if (vip->is_ipv4() != service->is_ipv4())
      problems_.add(line_of(table), "the VIP " + to_string(*vip) + " and the service " +
                                        to_string(*service) + " must both be IPv4 or both IPv6");
    const auto [earlier, is_new] = taken_.try_emplace({*vip, *of_port}, line_of(table));
    if (!is_new)
      problems_.add(line_of(table), "the VIP " + to_string(*vip) + " has the same port in line " +
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
  if (const auto problem = misplaced_byte(text)) throw ConfigError(name, {*problem});
  toml::table root;
  try {
    root = toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    std::string words(error.description());
    std::ranges::replace(words, '\n', ' ');
    throw ConfigError(name, {{error.source().begin.line, "this is not TOML: " + words}});
  }
  Problems problems;
  DecapConfig config = Reader(problems).read(root);
  if (!problems.empty()) throw ConfigError(name, problems.take());
  return config;
}

DecapConfig load_decap_config(const std::filesystem::path& path) {
  return parse_decap_config(read_config_file(path), path.native());
}

}  // namespace remora
