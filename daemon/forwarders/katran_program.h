// SPDX-License-Identifier: Apache-2.0
//
// The operator's own Katran in the forwarder's slot: its object file, unmodified.
//
// Rings, reals and the gateway are in maps with the layout of the embedded forwarder's maps, so
// Katran gets those. Its connection tables, one for each CPU, stay pinned when remorad restarts,
// and so do its connections.
#pragma once

#include <bpf/libbpf.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "daemon/base/address.h"
#include "daemon/base/bpf_map.h"
#include "daemon/base/handles.h"

namespace remora {

// An IPv4 address is in the first 4 bytes, and the rest is 0.
using KatranAddress = std::array<__u8, 16>;
KatranAddress katran_address(const Address& address);

// Key of `vip_map`.
struct KatranVipKey {
  KatranAddress address;
  __be16 port;  // 0: any
  __u8 protocol;
  __u8 pad;
};
static_assert(sizeof(KatranVipKey) == 20);
struct KatranVip {
  __u32 flags;
  __u32 vip_num;
};
constexpr __u32 kKatranNoSourcePort = 1;  // a flag: the client's port counts as 0
static_assert(sizeof(KatranVip) == 8);

// By address and port, the latter in network order.
using KatranVips = std::map<std::pair<Address, __be16>, KatranVip>;

// Key of a connection table.
struct KatranConnectionKey {
  KatranAddress client;
  KatranAddress vip;
  __be16 client_port;
  __be16 port;
  __u8 protocol;
  __u8 pad[3];
};
static_assert(sizeof(KatranConnectionKey) == 40);
struct KatranConnection {
  __u32 real;  // index into `reals`
  __u32 pad;
  __u64 used_at_ns;
};
static_assert(sizeof(KatranConnection) == 16);

using KatranConnections = BpfMap<KatranConnectionKey, KatranConnection>;

// Pins that are removed again with the start that made them, unless it succeeds.
class NewPins {
 public:
  NewPins() = default;
  NewPins(NewPins&& other) noexcept = default;
  NewPins& operator=(NewPins&&) = delete;
  ~NewPins();

  // Throws std::system_error.
  void pin(int fd, const std::filesystem::path& path);
  void keep() noexcept { paths_.clear(); }

 private:
  std::vector<std::filesystem::path> paths_;
};

class KatranProgram {
 public:
  // Descriptors of maps that Katran uses as its own. Only needed here: the kernel keeps the maps.
  struct Maps {
    int ch_rings = -1;
    int reals = -1;
    int ctl_array = -1;
  };

  // Loads the object at `path`, with pins in `folder`. New pins are removed with this object unless
  // keep_pins() is called. Throws std::runtime_error that names the map and what is wrong with it,
  // or what the kernel refuses; the pins are then as before.
  KatranProgram(const std::filesystem::path& path, const std::filesystem::path& folder,
                const Maps& maps);

  // The program for the forwarder's slot.
  int program_fd() const;

  // Forwards TCP to these VIPs, and to no others, by the rings with these numbers. A VIP must name
  // its port: otherwise Katran's hash leaves the port out and chooses other reals than the embedded
  // forwarder.
  void set_vips(const KatranVips& vips) const;

  // Packets and bytes by VIP, in the layout of our map; -1: the object has no such map.
  int stats_fd() const;

  // Connection tables, one for each CPU.
  std::vector<KatranConnections> connections() const;

  // Pins the connection tables in `folder` whose pins are missing; returns their number. Throws
  // std::runtime_error.
  std::size_t put_pins_back(const std::filesystem::path& folder) const;

  // From now on the pins outlive this object.
  void keep_pins() noexcept { new_pins_.keep(); }

  // Removes the pins in `folder` that a forwarder of another kind does not use.
  static void remove_pins(const std::filesystem::path& folder);

 private:
  void take_flow_tables(const std::filesystem::path& folder);

  BpfObjectHandle object_;
  bpf_program* program_ = nullptr;
  bpf_map* vip_map_ = nullptr;
  bpf_map* lru_mapping_ = nullptr;
  bpf_map* stats_ = nullptr;
  std::vector<Fd> flow_tables_;  // by CPU
  NewPins new_pins_;
};

}  // namespace remora
