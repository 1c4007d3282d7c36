// SPDX-License-Identifier: Apache-2.0
//
// Topics against the configuration in force, in the kernel's numbers: what a
// client's prediction should be.
//
// A value: the loop's thread makes a new one for each configuration, and whoever
// works with an older one meanwhile keeps it.
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
    std::uint16_t default_group;
  };

  ::topic_keys keys{};
  RouteTable routes;
  std::map<std::string, std::uint16_t> groups;
  std::map<Endpoint, Service> services;

  // The kernel's hash of a topic; 0 when it is longer than the kernel reads.
  std::uint64_t hash(std::string_view text) const;

  // The group to which `topic` belongs on a service.
  std::uint16_t group_for(const Service& service, std::string_view topic) const;
};

}  // namespace remora
