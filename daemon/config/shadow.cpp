// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/shadow.h"

#include <algorithm>
#include <string>

namespace remora {

void put_into_shadow(Config& config, Problems& problems) {
  if (config.lb.mode != Mode::kShadow || config.services.empty()) return;
  const std::uint32_t line = config.line_of("lb", "mode");
  if (config.lb.forwarder != ForwarderKind::kEmbedded)
    return problems.add(line,
                        "\"mode\" of [lb] cannot be \"shadow\" with Katran, whose packets carry "
                        "the VIP of a group: the brokers of the default group refuse the others");
  const std::string& default_group = config.services.front().default_group;
  for (const Service& service : config.services) {
    if (service.default_group != default_group)
      return problems.add(line,
                          "\"mode\" of [lb] is \"shadow\", which needs one default_group for all "
                          "services; they have \"" +
                              default_group + "\" and \"" + service.default_group + "\"");
  }
  const auto found = std::ranges::find(config.groups, default_group, &Group::name);
  if (found == config.groups.end()) return;  // reported already
  const Group home = *found;
  for (Group& group : config.groups) {
    group.reals = home.reals;
    group.affinity = home.affinity;
    group.proxy_port = home.proxy_port;
  }
  for (Service& service : config.services) service.unknown_clients = UnknownClients::kDefault;
}

}  // namespace remora
