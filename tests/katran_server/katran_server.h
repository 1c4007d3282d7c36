// SPDX-License-Identifier: Apache-2.0
//
// A stand-in for a Katran server in shared mode: Katran's program with maps of its own, in one
// slot of a root array that another process has pinned.
//
// It is independent of remorad: they share only that slot.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string_view>
#include <vector>

#include "daemon/base/address.h"
#include "daemon/base/fd.h"
#include "daemon/forwarders/katran_program.h"
#include "daemon/ring/maglev.h"

namespace remora {

// The configuration that Katran's operator would give it.
struct KatranPlan {
  struct Real {
    Address address;
    std::uint32_t weight = 1;
  };
  struct Vip {
    Address address;
    std::uint16_t port;  // of TCP, host order
    std::vector<Real> reals;
  };

  MacAddress gateway;
  std::vector<Vip> vips;
};

// {"gateway_mac": "02:…", "vips": [{"address": "10.1.50.201", "port": 1883,
//   "reals": [{"address": "10.1.3.101", "weight": 1}, …]}, …]}
// Throws std::runtime_error with the mistake.
KatranPlan parse_katran_plan(std::string_view text);

class KatranServer {
 public:
  // Loads the object and pins nothing: its connections are lost with the program. Throws
  // std::runtime_error, std::system_error.
  explicit KatranServer(const std::filesystem::path& object);

  // Fills the maps. VIPs and reals that were there before keep their numbers, so that connections
  // stay. Throws as above.
  void apply(const KatranPlan& plan);

  // Puts the program into slot `position` of the pinned prog array, in place of what is there.
  void insert(const std::filesystem::path& root_array, std::uint32_t position) const;

 private:
  std::uint32_t number_of_real(const Address& address);
  std::uint32_t number_of_vip(const Address& address);
  void write_ring(const KatranPlan::Vip& vip);

  const Fd rings_, reals_, gateways_;
  KatranProgram katran_;
  std::map<Address, std::uint32_t> real_numbers_, vip_numbers_;
};

// Leaves the slot empty.
void clear_slot(const std::filesystem::path& root_array, std::uint32_t position);

}  // namespace remora
