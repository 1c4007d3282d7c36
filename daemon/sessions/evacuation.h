// SPDX-License-Identifier: Apache-2.0
//
// Makes the connections of reals come back elsewhere, so many a second.
//
// A flow whose turn it is is marked in the table as leaving, and its client is asked
// for an ACK, which also a silent client gives. The packet path ends the
// connection at that ACK, when nothing is in the middle of anything; the record of it
// comes back through the ring, and the recorder tells both sides. What has not ended
// within a few seconds is ended by force.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <set>

#include "daemon/kernel/maps.h"
#include "daemon/sessions/ender.h"
#include "daemon/steering/steering.h"

namespace remora {

class Evacuation {
 public:
  // All must outlive it.
  Evacuation(const Maps& maps, const Steering& steering, Ender& ender)
      : maps_(maps), steering_(steering), ender_(ender) {}

  // From the groups, by number; the real by its index in `reals`. Replaces what is
  // under way for that real.
  void start(std::uint32_t real, std::set<std::uint16_t> groups, std::uint32_t per_second);
  void stop(std::uint32_t real);

  // Called often: asks those whose turn it is. One batch of the table for each real.
  void step(std::uint64_t now_ns);

  bool is_evacuated(std::uint16_t group, std::uint32_t real) const;

  struct Counts {
    std::uint64_t asked = 0;   // connections whose turn it was
    std::uint64_t forced = 0;  // of these, the ones that did not end by themselves
  };
  const Counts& counts() const { return counts_; }

 private:
  struct Target {
    Target(const Maps& maps, std::uint32_t a_real, std::set<std::uint16_t> some_groups,
           std::uint32_t rate);
    bool has(const flow& entry) const;

    std::uint32_t real;
    std::set<std::uint16_t> groups;
    std::uint32_t per_second;
    double allowance = 1;
    std::uint64_t counted_at_ns = 0;
    FlowReader reader;
    std::deque<flow_key> waiting;
    bool found_in_pass = false;
    bool is_done = false;
  };
  struct Leaving {
    flow_key key;
    std::uint32_t isn;
    std::uint32_t attempts;
    std::uint64_t asked_at_ns;
  };

  void look_for_more(Target& target);
  bool ask(const Target& target, const flow_key& key, std::uint64_t now_ns);
  void follow_up(Leaving leaving, std::uint64_t now_ns);

  const Maps& maps_;
  const Steering& steering_;
  Ender& ender_;
  std::list<Target> targets_;
  std::deque<Leaving> leaving_;  // the longest asked first
  Counts counts_;
};

}  // namespace remora
