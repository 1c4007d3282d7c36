// SPDX-License-Identifier: Apache-2.0
//
// Matches topics by the configuration in force: the group to which a client's topic belongs, and
// the kernel's numbers for it.
//
// A value. The loop's thread makes a new one for each configuration; a thread that still works with
// an older one keeps it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "bpf/abi.h"
#include "daemon/base/endpoint.h"
#include "daemon/mqtt/route_table.h"

namespace remora {

struct TopicMatching {
  struct Service {
    std::uint16_t number;
    std::string default_group;
  };

  ::topic_keys keys{};
  RouteTable routes;
  std::map<std::string, std::uint16_t> groups;  // their numbers, by name
  std::map<Endpoint, Service> services;

  // The kernel's hash of a topic, never 0. Also for a topic longer than the kernel reads; only the
  // daemon uses that hash.
  std::uint64_t hash(std::string_view topic) const;

  // The name of the group to which `topic` belongs on a service; lives as long as this.
  std::string_view group_for(const Service& service, std::string_view topic) const;

  // The number of a group; no value if it is not configured.
  std::optional<std::uint16_t> number_of(std::string_view group) const;

  // nullptr if it is not configured.
  const Service* find(const Endpoint& service) const;
};

}  // namespace remora
