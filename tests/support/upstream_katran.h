// SPDX-License-Identifier: Apache-2.0
//
// Upstream's Katran, unmodified: an object file from outside this project. Its maps are filled
// here as Katran's own control plane fills them, entry by entry.
//
// Nothing is pinned or attached: everything is gone with the object.
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bpf/abi.h"

namespace remora {

// The file that REMORA_KATRAN_OBJ names; nullptr if it is not set.
const char* katran_object_path();

struct KatranLimits {
  std::uint32_t vips = 16;              // rings
  std::uint32_t connections = 131'072;  // per CPU
};

class UpstreamKatran {
 public:
  // Throws std::system_error if the object cannot be opened, lacks a map, or is refused by the
  // kernel.
  explicit UpstreamKatran(const std::string& path, const KatranLimits& limits = {});

  int program_fd() const;

  // A VIP for TCP at this address and port, in host order; port 0: any.
  void put_vip(const address& vip, std::uint16_t port, std::uint32_t vip_num,
               std::uint32_t flags = 0);
  void put_ring(std::uint32_t vip_num, const std::vector<std::uint32_t>& ring);
  void put_real(std::uint32_t index, const real& real);
  void put_gateway(const gateway& gateway);
  void forget_vips();
  // Gives every CPU an empty table of connections.
  void forget_connections();

  // An entry of `stats` summed over all CPUs: packets and bytes of a VIP.
  vip_stats stats(std::uint32_t index) const;

 private:
  struct CloseObject {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
  };

  int map_fd(const char* name) const;

  std::unique_ptr<bpf_object, CloseObject> object_;
  KatranLimits limits_;
};

}  // namespace remora
