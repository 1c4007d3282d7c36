// SPDX-License-Identifier: Apache-2.0
//
// Rules for the values of a configuration: for each value, and between entries.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/config/config.h"
#include "daemon/config/section.h"

namespace remora {

// Each returns what is wrong with a value and what would be right, as the rest of a sentence that
// begins with the value's key; empty if the value is valid.
std::optional<std::string> name_problem(std::string_view name);
std::optional<std::string> instance_problem(std::string_view instance);
std::optional<std::string> interface_problem(std::string_view interface);
std::optional<std::string> address_problem(std::string_view text);
std::optional<std::string> mac_problem(std::string_view text);
std::optional<std::string> route_filter_problem(std::string_view filter);
std::optional<std::string> path_problem(std::string_view path);
std::optional<std::string> username_problem(std::string_view username);
std::optional<std::string> password_file_problem(std::string_view path);
// For the reason of a server's DISCONNECT that sends a client elsewhere (MQTT 5.0 §3.14.2.1).
std::optional<std::string> farewell_problem(std::uint32_t reason);
std::optional<std::string> ring_size_problem(std::uint32_t events_kib);

// Collects the entries while they are read, in any order, and reports contradictions between them.
// `problems` must outlive it.
class ConfigCheck {
 public:
  explicit ConfigCheck(Problems& problems) : problems_(&problems) {}

  void service_name(const Found<std::string>& name);
  void group_name(const Found<std::string>& name);
  void filter(const Found<std::string>& filter);
  void service_address(const Address& address, std::uint32_t line) {
    service_addresses_.emplace(address, line);
  }
  void outer_source(const Address& address, std::uint32_t line) {
    outer_sources_.emplace(address, line);
  }
  void endpoint(const Address& address, std::uint16_t port, std::uint32_t line);
  void vip(const Address& vip, std::uint32_t line);
  // The reals that follow belong to another group.
  void begin_group() { reals_of_group_.clear(); }
  void real(const Address& real, std::uint32_t line);
  void group_reference(const Found<std::string>& name) { references_.push_back(name); }

  // Call this once, after everything has been read: does the checks that need all entries. Adds the
  // warnings to `config`.
  void finish(Config& config);

 private:
  using Lines = std::map<std::string, std::uint32_t, std::less<>>;

  void claim(Lines& taken, std::string_view what, const Found<std::string>& name);
  void check_addresses();
  void check_families(const Config& config);
  void check_references(const Config& config);
  void check_sizes(const Config& config);
  void check_shapes(const Config& config);
  void warn_of_idle_groups(Config& config);

  Problems* problems_;
  Lines services_;
  Lines groups_;
  Lines filters_;
  std::map<std::pair<Address, std::uint16_t>, std::uint32_t> endpoints_;
  std::map<Address, std::uint32_t> service_addresses_;
  std::map<Address, std::uint32_t> outer_sources_;
  std::map<Address, std::uint32_t> vips_;
  std::map<Address, std::uint32_t> reals_of_group_;
  std::vector<std::pair<Address, std::uint32_t>> reals_;
  std::vector<Found<std::string>> references_;
};

}  // namespace remora
