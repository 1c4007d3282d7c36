// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/fields.h"

namespace remora {
namespace {

constexpr std::string_view kAuto = "auto";      // of gateway_mac and sources
constexpr std::string_view kKatran = "katran";  // of outer_source

// The values as one TOML value: a string, or an array of strings.
std::string toml_texts(const std::vector<std::string>& texts) {
  if (texts.size() == 1) return toml_text(texts.front());
  std::string list;
  for (const std::string& text : texts) list += (list.empty() ? "" : ", ") + toml_text(text);
  return "[ " + list + " ]";
}

}  // namespace

void GatewayAccess::read(const Section& section, std::string_view key, Config& config) {
  if (const auto found = section.text(key)) config.lb.gateway_mac = MacAddress::parse(found->value);
}

std::string GatewayAccess::show(const Config& config) {
  const auto& mac = config.lb.gateway_mac;
  return toml_text(mac ? to_string(*mac) : std::string(kAuto));
}

// Reads "katran", or at most one address of each family.
void OuterSourceAccess::read(const Section& section, std::string_view key, Config& config) {
  const auto found = section.texts(key);
  if (found.size() == 1 && found.front().value == kKatran) return;
  for (const auto& [text, line] : found) {
    if (const auto problem = address_problem(text)) {
      section.report(key, line, *problem + "; or \"katran\" alone");
      continue;
    }
    const Address address = *Address::parse(text);
    auto& of_family = address.is_ipv4() ? config.lb.outer_source4 : config.lb.outer_source6;
    if (of_family)
      section.report(key, line,
                     "is " + in_quotes(text) + " and " + to_string(*of_family) +
                         ", but must be at most one address of each family");
    of_family = address;
  }
}

std::string OuterSourceAccess::show(const Config& config) {
  std::vector<std::string> shown;
  for (const auto& source : {config.lb.outer_source4, config.lb.outer_source6})
    if (source) shown.push_back(to_string(*source));
  if (shown.empty()) shown.emplace_back(kKatran);
  return toml_texts(shown);
}

// Reads at most one network of each family; a family that is not given keeps its default.
void CheckNetworksAccess::read(const Section& section, std::string_view key, Config& config) {
  Health& health = config.health;
  bool has_ipv4 = false, has_ipv6 = false;
  for (const auto& [text, line] : section.texts(key)) {
    const auto network = Prefix::parse(text);
    if (!network) {
      section.report(key, line,
                     "is " + in_quotes(text) +
                         ", but must be a network with its prefix length, and no bits set after "
                         "the prefix");
      continue;
    }
    const Address& first = network->first();
    if (first.is_unspecified() || first.is_loopback() || first.is_multicast() ||
        first.is_link_local()) {
      section.report(key, line,
                     "is " + in_quotes(text) +
                         ", but must be a network of unicast addresses that is not used elsewhere");
    }
    bool& has = network->is_ipv4() ? has_ipv4 : has_ipv6;
    if (has) section.report(key, line, "must be one network of each family at most");
    has = true;
    (network->is_ipv4() ? health.network4 : health.network6) = *network;
  }
}

std::string CheckNetworksAccess::show(const Config& config) {
  return toml_texts({to_string(config.health.network4), to_string(config.health.network6)});
}

// "auto", or addresses.
void SourcesAccess::read(const Section& section, std::string_view key, Config& config) {
  const auto found = section.texts(key);
  if (found.size() == 1 && found.front().value == kAuto) return;
  for (const auto& [text, line] : found) {
    if (const auto problem = address_problem(text)) {
      section.report(key, line, *problem + "; or \"auto\" alone");
      continue;
    }
    config.router.sources.push_back(*Address::parse(text));
  }
}

std::string SourcesAccess::show(const Config& config) {
  std::vector<std::string> shown;
  for (const Address& source : config.router.sources) shown.push_back(to_string(source));
  if (shown.empty()) shown.emplace_back(kAuto);
  return toml_texts(shown);
}

std::string RealsAccess::show(const Group& group) {
  std::string list;
  for (const Real& real : group.reals) {
    list += list.empty() ? "" : ", ";
    list += "{ address = " + toml_text(to_string(real.address)) +
            ", weight = " + toml_number(real.weight);
    if (real.port != 0) list += ", port = " + toml_number(real.port);
    list += " }";
  }
  return "[ " + list + " ]";
}

std::string toml_number(std::uint32_t number) {
  std::string digits = std::to_string(number);
  constexpr std::size_t kGroup = 3;
  if (digits.size() <= kGroup + 1) return digits;  // 8192
  for (std::size_t at = digits.size() - kGroup;
       at > 0 && at<digits.size(); at = at> kGroup ? at - kGroup : 0)
    digits.insert(at, "_");
  return digits;
}

std::string toml_code(std::uint8_t code) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return std::string("0x") + kDigits[code >> 4] + kDigits[code & 0xf];
}

std::string toml_text(std::string_view text) {
  return "\"" + std::string(text) + "\"";
}

}  // namespace remora
