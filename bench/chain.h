// SPDX-License-Identifier: Apache-2.0
//
// The packet path as remorad loads it, with tables like those of a real installation:
// default limits, ten groups of three brokers, a thousand exact routes and a few prefix
// routes. Nothing is pinned or attached.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/frames.h"
#include "bpf/abi.h"
#include "daemon/ring/maglev.h"

namespace remora::bench {

inline constexpr std::uint32_t kGroups = 10;
inline constexpr std::uint32_t kFlowLimit = 1'000'000;  // remorad's default

inline constexpr gateway kGateway{{2, 0, 0, 0, 0, 2}, {}};

// The brokers of a group, and the address of its VIP.
std::vector<RingReal> reals_of(std::uint32_t group);
Address vip_of(std::uint32_t group);

class Katran;

// The verifier's figures of a program.
struct VerifierCost {
  std::string program;
  std::uint64_t instructions = 0;  // processed
  double seconds = 0;
};

// The counters of the packet path so far.
struct Counts {
  std::array<std::uint64_t, COUNTERS> counters{};
  std::array<std::uint64_t, kGroups> forwarded{};  // packets, by group
};

// The difference of two readings.
Counts operator-(const Counts& later, const Counts& earlier);

class Chain {
 public:
  // With the embedded forwarder. Needs CAP_BPF and CAP_NET_ADMIN. Throws if a program cannot
  // be loaded.
  Chain() : Chain(nullptr) {}
  // With Katran in the forwarder's slot. `katran` must outlive the chain.
  explicit Chain(const Katran& katran) : Chain(&katran) {}
  ~Chain();
  Chain(const Chain&) = delete;
  Chain& operator=(const Chain&) = delete;

  // The program that would be attached to the interface.
  int entry_fd() const;
  const std::vector<VerifierCost>& verifier_costs() const { return verifier_costs_; }

  // Slot 2 of the prog array.
  void insert_forwarder();
  void remove_forwarder();

  // Predicts `group` for `count` clients from `first` on (IPv4, host order).
  void predict(std::uint32_t first, std::uint32_t count, std::uint32_t group);
  void forget_half_open();
  // Drains the ring buffer, as remorad would.
  void drain_events();

  Counts counts() const;
  // Whether this IPv4 address, in network order, is a broker of the group.
  static bool is_real_of(std::uint32_t group, std::uint32_t address);

  // Topics with an exact route to `group`, of 24 and of 200 bytes, and one of 24 bytes that
  // only a prefix route matches. Variants 0 and 1 differ in the last eight bytes.
  static std::string topic(std::uint32_t group, std::uint32_t variant);
  static std::string long_topic(std::uint32_t group);
  static std::string door_topic(std::uint32_t group, std::uint32_t variant);
  static std::string prefixed_topic(std::uint32_t group, std::uint32_t variant);

 private:
  struct Objects;

  explicit Chain(const Katran* katran);
  void fill_tables();
  void fill_routes();

  const Katran* katran_;
  std::unique_ptr<Objects> objects_;
  std::vector<VerifierCost> verifier_costs_;
};

}  // namespace remora::bench
