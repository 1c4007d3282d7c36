// SPDX-License-Identifier: Apache-2.0
//
// Makes the clients of reals come back elsewhere, a given number per second.
//
// It finds their connections as a visitor of the flow table's scan. When a flow's turn comes, it is
// marked as leaving in the table, and its client is asked for an ACK, which a silent client sends,
// too. The packet path ends the connection at that ACK, between two MQTT packets; its record comes
// back through the ring, and the recorder tells both sides. A connection that has not ended within
// a few seconds is ended by force.
//
// A connection with messages of QoS 2 under way waits until they are complete, for at most ten
// seconds. After that it may end at the next ACK; without an ACK it is ended by force.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "daemon/kernel/flow_scan.h"
#include "daemon/kernel/maps.h"
#include "daemon/sessions/client_questions.h"
#include "daemon/sessions/ender.h"
#include "daemon/steering/steering.h"

namespace remora {

class Evacuation : public FlowVisitor {
 public:
  // All references must outlive it.
  Evacuation(const Maps& maps, const Steering& steering, Ender& ender);

  // Evacuates a real, given by its index in `reals`, from these groups, given by number. Replaces
  // an evacuation of that real that is under way.
  void start(std::uint32_t real, std::set<std::uint16_t> groups, std::uint32_t per_second);
  void stop(std::uint32_t real);

  // Called often: asks the clients whose turn it is.
  void step(std::uint64_t now_ns);

  bool is_evacuated(std::uint16_t group, std::uint32_t real) const;
  // Connections a second that were asked for, also when no flow is left; nothing after stop().
  std::optional<std::uint32_t> rate(std::uint16_t group, std::uint32_t real) const;

  struct Counts {
    std::uint64_t asked = 0;    // connections whose turn it was
    std::uint64_t hurried = 0;  // of these, the ones that no longer wait for QoS 2
    std::uint64_t forced = 0;   // of these, the ones that did not end by themselves
  };
  const Counts& counts() const { return counts_; }

  bool wants_pass() const override;
  void begin_pass(std::uint64_t now_ns) override;
  Verdict visit(const flow_key& key, const flow& entry, std::uint64_t now_ns) override;
  void end_pass() override;

 private:
  struct Target {
    bool has(const flow& entry) const;
    double most_allowance() const;

    std::uint32_t real;
    std::set<std::uint16_t> groups;
    std::uint32_t per_second;
    double allowance = 1;
    std::uint64_t counted_at_ns = 0;
    std::deque<flow_key> waiting = {};
    bool is_in_pass = false;  // started before the scan's present pass began
    bool found_in_pass = false;
    bool is_done = false;
  };

  bool ask(const Target& target, const flow_key& key, std::uint64_t now_ns);
  void hurry(const flow_key& key, const flow& entry, std::uint64_t now_ns);
  void force(const flow_key& key, const flow& entry);

  const Maps& maps_;
  const Steering& steering_;
  Ender& ender_;
  std::list<Target> targets_;
  std::map<std::pair<std::uint16_t, std::uint32_t>, std::uint32_t> rates_;  // by group and real
  ClientQuestions questions_;
  ClientQuestions patient_questions_;  // to clients with incomplete messages of QoS 2
  ClientQuestions last_questions_;     // to clients that no longer wait for those
  Counts counts_;
};

}  // namespace remora
