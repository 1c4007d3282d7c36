// SPDX-License-Identifier: Apache-2.0
//
// The cases that are measured: the packets of each, and what the packet path must count if they
// took the intended path.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/frames.h"
#include "bench/traffic.h"
#include "bpf/abi.h"

namespace remora::bench {

enum class Expect : std::uint8_t { kForwarded, kPassed };
enum class Start : std::uint8_t {
  kNothing,      // no flows
  kEstablished,  // every flow has sent its CONNECT
};

enum class Clients : std::uint8_t { kKnown, kUnknown };

// Goals as multiples of Katran alone, which gets the same packets with the group's VIP. Where
// connections begin, it gets their SYNs only.
struct KatranGoals {
  std::optional<double> chain;         // with the embedded forwarder
  std::optional<double> behind_stage;  // the stage, then Katran
};

struct Case {
  std::string name;
  std::uint32_t group = 0;
  Bytes frame;  // as passed to BPF_PROG_TEST_RUN
  traffic packets{};
  Start start = Start::kEstablished;
  Clients clients = Clients::kKnown;
  Expect expect = Expect::kForwarded;
  // The time of a unit is reported; packets of a flow per unit: 2 for a SYN and its CONNECT.
  std::uint32_t unit = 1;
  std::vector<enum counter> counted;          // once per unit; no other counter changes
  std::optional<double> goal;                 // times the floor
  std::optional<KatranGoals> against_katran;  // where the comparison makes sense

  std::uint64_t flows() const { return std::uint64_t{1} << packets.flow_bits; }
};

// All cases for 2^`flow_bits` flows, the SYN first. No two cases share a client.
std::vector<Case> make_cases(std::uint32_t flow_bits);

// The packets that precede a case: SYN and CONNECT of each of its flows.
Case opening(const Case& of);

// The SYNs of a case that begins connections.
Case syns_of(const Case& of);

// The packets of a case as a stage would pass them to Katran.
Case to_vip(const Case& of);

// The packets for the floor: ACKs.
Case make_floor(std::uint32_t flow_bits);

}  // namespace remora::bench
