// SPDX-License-Identifier: Apache-2.0
#include "bench/targets.h"

#include <bpf/libbpf.h>

#include <cerrno>
#include <system_error>

#include "bench/chain.h"
#include "bench/floor.h"
#include "bpf/parse.h"
#include "targets.skel.h"

namespace remora::bench {

Targets::Targets(const Case& floor) : object_(remora_targets::open()) {
  if (!object_) throw std::system_error(errno, std::generic_category(), "open the floor");
  const auto flows = static_cast<std::uint32_t>(floor.flows());
  bpf_map__set_max_entries(object_->maps.floor_flows, kFlowLimit);
  if (remora_targets::load(object_))
    throw std::system_error(errno, std::generic_category(), "load the floor");
  for (std::uint32_t i = 0; i < flows; ++i) {
    floor_key key{};
    key.client = host_to_net32(floor.packets.first_client + i);
    key.service = host_to_net32(kServiceAddress);
    key.client_port = host_to_net16(kClientPort);
    key.service_port = host_to_net16(kServicePort);
    const std::uint64_t value = i;
    if (bpf_map__update_elem(object_->maps.floor_flows, &key, sizeof key, &value, sizeof value,
                             BPF_NOEXIST))
      throw std::system_error(errno, std::generic_category(), "fill the floor's table");
  }
}

Targets::~Targets() {
  remora_targets::destroy(object_);
}

int Targets::empty_fd() const {
  return bpf_program__fd(object_->progs.bench_empty);
}

int Targets::floor_fd() const {
  return bpf_program__fd(object_->progs.bench_floor);
}

}  // namespace remora::bench
