// SPDX-License-Identifier: Apache-2.0
#include "daemon/forwarders/katran_object.h"

#include <string>

#include "bpf/parse.h"
#include "daemon/base/callback.h"
#include "daemon/kernel/maps.h"

namespace remora {

KatranObject::KatranObject(const std::filesystem::path& path, const Programs& programs)
    : katran_(path, programs.folder(),
              {.ch_rings = programs.map_fd("ch_rings"),
               .reals = programs.map_fd("reals"),
               .ctl_array = programs.map_fd("ctl_array")}),
      purge_(katran_.connections()),
      stats_(katran_.stats_fd() >= 0 ? katran_.stats_fd() : programs.map_fd("stats")) {}

void KatranObject::settle(const std::filesystem::path& folder) {
  katran_.keep_pins();
  folder_ = folder;
}

// Another tool may have removed the pins. The next start would then move the living connections.
void KatranObject::look() {
  if (folder_.empty()) return;
  if (const std::size_t pins = katran_.put_pins_back(folder_); pins > 0)
    log_failure("missing, and put back", std::to_string(pins) + " pins of Katran's connections");
}

void KatranObject::use(const Config& config, const GroupNumbers& numbers) {
  sender_.use(config.lb);
  KatranVips vips;
  for (const Group& group : config.groups) {
    const KatranVip vip{.flags = group.affinity == Affinity::kPerClient ? kKatranNoSourcePort : 0,
                        .vip_num = numbers.at(group.name)};
    for (const Service& service : config.services)
      vips[{group.vip, host_to_net16(service.port)}] = vip;
  }
  katran_.set_vips(vips);
}

std::optional<BrokerWay> KatranObject::way_to(const Address& vip,
                                              const std::optional<Address>& real) const {
  if (!real) return std::nullopt;
  return BrokerWay{.real = real, .vip = vip};
}

bool KatranObject::send(const Bytes& packet, const flow_key& flow, const BrokerWay& way) {
  return sender_.send(packet, flow, way);
}

std::optional<vip_stats> KatranObject::traffic_of(std::uint32_t vip_num) const {
  return read_vip_stats(stats_, vip_num);
}

}  // namespace remora
