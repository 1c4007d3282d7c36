// SPDX-License-Identifier: Apache-2.0
//
// What is measured: for each case its packets, and what the packet path must
// have counted when it took the intended way.
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

// Times Katran alone, with the same packets addressed to the group's VIP.
struct KatranGoals {
  std::optional<double> chain;         // with the embedded forwarder
  std::optional<double> behind_stage;  // the stage, and Katran behind it
};

struct Case {
  std::string name;
  std::uint32_t group = 0;
  Bytes frame;  // as handed to BPF_PROG_TEST_RUN
  traffic packets{};
  Start start = Start::kEstablished;
  Expect expect = Expect::kForwarded;
  // Packets of a flow that make one unit, whose time is given: 2 for a SYN and its CONNECT.
  std::uint32_t unit = 1;
  std::vector<enum counter> counted;          // once per unit; every other counter stays
  std::optional<double> goal;                 // times the floor
  std::optional<KatranGoals> against_katran;  // where the comparison has a meaning

  std::uint64_t flows() const { return std::uint64_t{1} << packets.flow_bits; }
};

// All cases for 2^`flow_bits` flows, the SYN first. No two share a client.
std::vector<Case> make_cases(std::uint32_t flow_bits);

// SYN and CONNECT of every flow of a case: the packets before it.
Case opening(const Case& of);

// The packets of a case as a stage in front of Katran would hand them on.
Case to_vip(const Case& of);

// The floor's packets: ACKs.
Case make_floor(std::uint32_t flow_bits);

}  // namespace remora::bench
