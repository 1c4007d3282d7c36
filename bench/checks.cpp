// SPDX-License-Identifier: Apache-2.0
#include "bench/checks.h"

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

namespace remora::bench {
namespace {

constexpr std::size_t kOuterHeader = 20;

}  // namespace

void fail(const Case& of, const std::string& what) {
  throw std::runtime_error("case \"" + of.name + "\" did not run as intended: " + what);
}

bool counts(const Case& of, counter counter) {
  return std::find(of.counted.begin(), of.counted.end(), counter) != of.counted.end();
}

void check_counts(const Case& it, const Counts& found, std::uint64_t packets) {
  static constexpr const char* kNames[] = {
#define REMORA_NAME(name, ...) #name,
      REMORA_COUNTERS(REMORA_NAME)
#undef REMORA_NAME
  };
  std::string differences;
  for (std::uint32_t i = 0; i < COUNTERS; ++i) {
    const bool expected = counts(it, static_cast<counter>(i));
    const std::uint64_t wanted = expected ? packets / it.unit : 0;
    if (found.counters[i] == wanted) continue;
    differences += (differences.empty() ? "" : ", ") + std::string(kNames[i]) + " is " +
                   std::to_string(found.counters[i]) + " instead of " + std::to_string(wanted);
  }
  if (!differences.empty()) fail(it, differences);
  for (std::uint32_t group = 0; group < kGroups; ++group) {
    const bool expected = it.expect == Expect::kForwarded && group == it.group;
    if (found.forwarded[group] != (expected ? packets : 0))
      fail(it, std::to_string(found.forwarded[group]) + " packets went to group " +
                   std::to_string(group));
  }
}

void check_packet(const Case& it, const Outcome& outcome) {
  const bool forwarded = it.expect == Expect::kForwarded;
  const std::size_t grown = forwarded ? kOuterHeader : 0;
  const Bytes& packet = outcome.packet;
  if (outcome.verdict != (forwarded ? XDP_TX : XDP_PASS))
    fail(it, "verdict " + std::to_string(outcome.verdict));
  if (packet.size() != it.frame.size() + grown) fail(it, "the packet has another length");

  const std::uint64_t last_round = (it.packets.next - 1) >> it.packets.flow_bits;
  const shape& shape = it.packets.shapes[last_round & 1];
  Bytes wanted = it.frame;
  std::memcpy(wanted.data() + it.packets.word_at, &shape.word, sizeof shape.word);
  if (!std::equal(wanted.begin() + sizeof shape.head, wanted.end(),
                  packet.begin() + static_cast<std::ptrdiff_t>(sizeof shape.head + grown)))
    fail(it, "the packet's payload changed");
  if (!forwarded) return;

  iphdr outer;
  std::memcpy(&outer, packet.data() + ETH_HLEN, sizeof outer);
  if (outer.protocol != IPPROTO_IPIP || !Chain::is_real_of(it.group, outer.daddr))
    fail(it, "the outer header leads elsewhere");
}

}  // namespace remora::bench
