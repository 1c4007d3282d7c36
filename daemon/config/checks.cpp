// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/checks.h"

#include <net/if.h>

#include <algorithm>
#include <bit>
#include <tuple>

#include "daemon/mqtt/shapes.h"
#include "daemon/mqtt/topic_filter.h"
#include "daemon/ring/maglev.h"

namespace remora {
namespace {

constexpr std::size_t kLongestName = 63;

bool is_name_character(char character) {
  return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
         (character >= '0' && character <= '9') || character == '_' || character == '-' ||
         character == '.';
}

std::string in_line(std::uint32_t line) {
  return " in line " + std::to_string(line);
}

}  // namespace

std::optional<std::string> name_problem(std::string_view name) {
  if (!name.empty() && name.size() <= kLongestName &&
      std::all_of(name.begin(), name.end(), is_name_character))
    return std::nullopt;
  return "is " + in_quotes(name) + ", but must be 1 to 63 of the characters A-Z a-z 0-9 _ . -";
}

// The instance is the name of a folder in the BPF file system, which refuses dots.
std::optional<std::string> instance_problem(std::string_view instance) {
  if (!name_problem(instance) && instance.find('.') == std::string_view::npos) return std::nullopt;
  return "is " + in_quotes(instance) +
         ", but must be 1 to 63 of the characters A-Z a-z 0-9 _ - (no dots: the BPF file system "
         "refuses them)";
}

// The same rule as the kernel's dev_valid_name().
std::optional<std::string> interface_problem(std::string_view interface) {
  const auto is_unfit = [](char character) {
    return static_cast<unsigned char>(character) <= ' ' || character == '/' || character == ':' ||
           character == '\x7f';
  };
  if (!interface.empty() && interface.size() < IFNAMSIZ && interface != "." && interface != ".." &&
      std::none_of(interface.begin(), interface.end(), is_unfit))
    return std::nullopt;
  return "is " + in_quotes(interface) +
         ", but must be the name of a network interface: 1 to 15 characters without space, slash "
         "and colon";
}

std::optional<std::string> address_problem(std::string_view text) {
  const auto address = Address::parse(text);
  if (!address) return "is " + in_quotes(text) + ", which is not an IPv4 or IPv6 address";
  if (address->is_unspecified() || address->is_loopback() || address->is_multicast())
    return "is " + in_quotes(text) +
           ", but must be a host's own address, not an unspecified, loopback, multicast or "
           "broadcast one";
  if (address->is_link_local())
    return "is " + in_quotes(text) +
           ", but must be an address that is routed, not a link-local one";
  return std::nullopt;
}

std::optional<std::string> mac_problem(std::string_view text) {
  if (text == "auto") return std::nullopt;
  const auto mac = MacAddress::parse(text);
  if (mac && !mac->is_zero() && !mac->is_multicast()) return std::nullopt;
  std::string problem = "is " + in_quotes(text);
  if (!mac)
    problem += ", which is not an Ethernet address";
  else if (mac->is_zero())
    problem += ", which belongs to nobody";
  else
    problem += ", which is a multicast address";
  return problem + "; it must be \"auto\" or the gateway's address";
}

std::optional<std::string> route_filter_problem(std::string_view filter) {
  if (const auto problem = filter_problem(filter))
    return "is " + in_quotes(filter) + ", which is not a valid topic filter: " + *problem;
  return std::nullopt;
}

std::optional<std::string> path_problem(std::string_view path) {
  if (path.starts_with('/') && path.find('\0') == std::string_view::npos && !path.ends_with('/'))
    return std::nullopt;
  return "is " + in_quotes(path) + ", but must be the absolute path of a file";
}

std::optional<std::string> username_problem(std::string_view username) {
  constexpr std::size_t kLongest = 65'535;  // MQTT 3.1.1 §1.5.3
  if (username.size() <= kLongest && username.find('\0') == std::string_view::npos)
    return std::nullopt;
  return "must be text of at most 65535 bytes without NUL";
}

std::optional<std::string> password_file_problem(std::string_view path) {
  return path.empty() ? std::nullopt : path_problem(path);
}

std::optional<std::string> farewell_problem(std::uint32_t reason) {
  constexpr std::uint32_t kShuttingDown = 0x8b, kAdministrative = 0x98, kAnother = 0x9c,
                          kMoved = 0x9d;
  for (const std::uint32_t known : {kShuttingDown, kAdministrative, kAnother, kMoved})
    if (reason == known) return std::nullopt;
  return "is " + std::to_string(reason) +
         ", but must be 0x9C (use another server), 0x9D (server moved), 0x8B (server shutting "
         "down) or 0x98 (administrative action)";
}

std::optional<std::string> ring_size_problem(std::uint32_t events_kib) {
  if (std::has_single_bit(events_kib)) return std::nullopt;
  return "is " + std::to_string(events_kib) +
         ", but must be a power of two: " + std::to_string(std::bit_floor(events_kib)) + " or " +
         std::to_string(std::bit_ceil(events_kib));
}

void ConfigCheck::claim(Lines& taken, std::string_view what, const Found<std::string>& name) {
  const auto [earlier, is_new] = taken.emplace(name.value, name.line);
  if (is_new) return;
  problems_->add(name.line, std::string(what) + " " + in_quotes(name.value) + " exists already," +
                                in_line(earlier->second) + "; rename or remove one of them");
}

void ConfigCheck::service_name(const Found<std::string>& name) {
  claim(services_, "service", name);
}

void ConfigCheck::group_name(const Found<std::string>& name) {
  claim(groups_, "group", name);
}

void ConfigCheck::filter(const Found<std::string>& filter) {
  claim(filters_, "a route with filter", filter);
}

void ConfigCheck::endpoint(const Address& address, std::uint16_t port, std::uint32_t line) {
  const auto [earlier, is_new] = endpoints_.emplace(std::pair(address, port), line);
  if (is_new) return;
  problems_->add(line, "the service" + in_line(earlier->second) + " has address " +
                           to_string(address) + " and port " + std::to_string(port) +
                           " already; give this one another port or address");
}

void ConfigCheck::vip(const Address& vip, std::uint32_t line) {
  const auto [earlier, is_new] = vips_.emplace(vip, line);
  if (is_new) return;
  problems_->add(line, "vip " + to_string(vip) + " is that of the group" +
                           in_line(earlier->second) + " already; each group needs its own");
}

void ConfigCheck::real(const Address& real, std::uint32_t line) {
  reals_.emplace_back(real, line);
  const auto [earlier, is_new] = reals_of_group_.emplace(real, line);
  if (is_new) return;
  problems_->add(line, "real " + to_string(real) + " is in this group already," +
                           in_line(earlier->second) + "; to give it more, raise its weight");
}

void ConfigCheck::finish(Config& config) {
  check_addresses();
  check_families(config);
  check_references(config);
  check_sizes(config);
  warn_of_idle_groups(config);
}

// An address must have one meaning: packets to a VIP or to a broker must not come back as a
// client's.
void ConfigCheck::check_addresses() {
  for (const auto& [vip, line] : vips_) {
    const auto service = service_addresses_.find(vip);
    if (service == service_addresses_.end()) continue;
    problems_->add(line, "vip " + to_string(vip) + " is the service address" +
                             in_line(service->second) + "; a group needs an address of its own");
  }
  for (const auto& [real, line] : reals_) {
    if (const auto service = service_addresses_.find(real); service != service_addresses_.end())
      problems_->add(line, "real " + to_string(real) + " is the service address" +
                               in_line(service->second) + "; give the broker's own address");
    if (const auto vip = vips_.find(real); vip != vips_.end())
      problems_->add(line, "real " + to_string(real) + " is the vip of the group" +
                               in_line(vip->second) + "; give the broker's own address");
    if (const auto source = outer_sources_.find(real); source != outer_sources_.end())
      problems_->add(source->second, "outer_source " + to_string(real) + " is the real" +
                                         in_line(line) + "; give an address of the LB");
  }
  for (const auto& [address, line] : outer_sources_) {
    if (const auto service = service_addresses_.find(address); service != service_addresses_.end())
      problems_->add(line, "outer_source " + to_string(address) + " is the service address" +
                               in_line(service->second) + "; give an address of the LB");
    if (const auto vip = vips_.find(address); vip != vips_.end())
      problems_->add(line, "outer_source " + to_string(address) + " is the vip of the group" +
                               in_line(vip->second) + "; give an address of the LB");
  }
}

// An IPv4 packet fits into both outer headers, an IPv6 packet only into IPv6's, as in Katran. And
// routes can lead any service to any group.
void ConfigCheck::check_families(const Config& config) {
  const auto ipv6 = std::find_if(service_addresses_.begin(), service_addresses_.end(),
                                 [](const auto& service) { return !service.first.is_ipv4(); });
  if (ipv6 == service_addresses_.end()) return;
  for (const Group& group : config.groups) {
    const auto real = std::find_if(group.reals.begin(), group.reals.end(),
                                   [](const Real& each) { return each.address.is_ipv4(); });
    if (real == group.reals.end()) continue;
    problems_->add(real->line,
                   "real " + to_string(real->address) + " is IPv4, but the service" +
                       in_line(ipv6->second) +
                       " is IPv6, and its packets reach IPv6 addresses only; give the brokers of "
                       "this group by their IPv6 addresses, which serve IPv4 services as well");
  }
}

void ConfigCheck::check_references(const Config& config) {
  std::vector<std::string_view> names;
  for (const Group& group : config.groups)
    if (!group.name.empty()) names.push_back(group.name);
  for (const auto& [name, line] : references_) {
    if (groups_.contains(name)) continue;
    std::string text = "unknown group " + in_quotes(name) + "; ";
    if (const auto meant = closest(name, names))
      text += "did you mean \"" + std::string(*meant) + "\"?";
    else
      text += "add a [[group]] of that name";
    problems_->add(line, text);
  }
}

void ConfigCheck::check_sizes(const Config& config) {
  if (config.services.size() > kMaxServices)
    problems_->add(config.services[kMaxServices].line,
                   "there are more than " + std::to_string(kMaxServices) +
                       " services; use a second instance for the rest");
  if (config.routes.size() > kMaxRoutes)
    problems_->add(
        config.routes[kMaxRoutes].line,
        "there are more than " + std::to_string(kMaxRoutes) + " routes; join some by a wildcard");
  check_shapes(config);
  if (config.groups.size() > config.limits.groups)
    problems_->add(config.groups[config.limits.groups].line,
                   "there are " + std::to_string(config.groups.size()) +
                       " groups, but groups = " + std::to_string(config.limits.groups) +
                       " in [limits]; raise it (at most " + std::to_string(kMaxGroups) + ")");

  std::set<Address> distinct;
  for (const auto& [real, line] : reals_)
    if (distinct.insert(real).second && distinct.size() == kMaxReals + 1)
      problems_->add(line, "there are more than " + std::to_string(kMaxReals) +
                               " brokers; use a second instance for the rest");

  for (const Group& group : config.groups) {
    std::vector<std::uint32_t> weights;
    for (const Real& real : group.reals) weights.push_back(real.weight);
    if (ring_has_room(weights)) continue;
    problems_->add(group.line,
                   "the weights of this group are too far apart: the lightest real would get none "
                   "of the " +
                       std::to_string(RING_SIZE) + " slots; raise the lowest or lower the others");
  }
}

void ConfigCheck::check_shapes(const Config& config) {
  std::set<std::tuple<unsigned, unsigned, unsigned>> shapes;
  for (const Route& route : config.routes) {
    if (!has_wildcard(route.filter)) continue;
    const auto shape = kernel_shape(route.filter);
    if (!shape || !shapes.emplace(shape->levels, shape->plus, shape->rest).second) continue;
    if (shapes.size() != MAX_SHAPES + 1) continue;
    problems_->add(route.line,
                   "there are more than " + std::to_string(MAX_SHAPES) +
                       " shapes of filters with wildcards (a shape: how many levels, which of them "
                       "are `+`, and whether `#` ends it; names do not count); put the wildcards "
                       "of this one where another filter has them");
  }
}

void ConfigCheck::warn_of_idle_groups(Config& config) {
  std::set<std::string_view> used;
  for (const auto& reference : references_) used.insert(reference.value);
  for (const Group& group : config.groups)
    if (!used.contains(group.name))
      config.warnings.push_back(
          {group.line, "nothing leads to group " + in_quotes(group.name) +
                           ": no route, and no service has it as its default_group"});
}

}  // namespace remora
