// SPDX-License-Identifier: Apache-2.0
#include "daemon/steering/history_options.h"

namespace remora {

HistoryOptions history_options(const Config& config, std::uint32_t ring_id) {
  HistoryOptions options;
  options.path = config.store.path;
  options.services = service_names(config);
  options.retention_days = static_cast<int>(config.store.retention_days);
  options.max_bytes = std::uint64_t{config.store.max_mib} << 20;
  options.ring = std::to_string(ring_id);
  options.events_per_minute = config.store.events_per_minute;
  return options;
}

std::vector<ServiceName> service_names(const Config& config) {
  std::vector<ServiceName> names;
  for (const Service& service : config.services) {
    names.push_back({.service = to_string(service.at()), .name = service.name});
  }
  return names;
}

}  // namespace remora
