// SPDX-License-Identifier: Apache-2.0
//
// Ends the connections of dead reals at once, so that their clients come back elsewhere.
//
// It finds them as a visitor of the flow table's scan and ends a limited number in each step, so
// that the loop is not held up. A client is asked for an ACK, which a silent one sends, too; the
// packet path answers it with a RST. Half-open connections are forgotten: the client's next SYN
// follows the present ring.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <utility>

#include "daemon/kernel/flow_scan.h"
#include "daemon/kernel/maps.h"
#include "daemon/sessions/client_questions.h"
#include "daemon/sessions/ender.h"
#include "daemon/steering/steering.h"

namespace remora {

class Severance : public FlowVisitor {
 public:
  // All references must outlive it.
  Severance(const Maps& maps, const Steering& steering, Ender& ender);

  // Ends connections of a group, given by number, to a real, given by its index in `reals`.
  void start(std::uint16_t group, std::uint32_t real);
  // Stops doing so when the real is alive again.
  void stop(std::uint16_t group, std::uint32_t real);

  // Stops for this real in all groups.
  void forget(std::uint32_t real);

  // Called often.
  void step(std::uint64_t now_ns);

  // Number of connections that were ended.
  std::uint64_t severed() const { return severed_; }

  bool wants_pass() const override;
  void begin_pass(std::uint64_t now_ns) override;
  Verdict visit(const flow_key& key, const flow& entry, std::uint64_t now_ns) override;
  void end_pass() override;

 private:
  struct Progress {
    bool is_in_pass = false;   // started before the scan's present pass began
    unsigned flow_passes = 0;  // whole passes since the start that left no flow out
    unsigned half_open_passes = 0;
  };

  bool is_meant(const flow& entry) const;
  void read_half_open();
  void sever(const flow_key& key, std::uint64_t now_ns);

  const Maps& maps_;
  const Steering& steering_;
  Ender& ender_;
  std::map<std::pair<std::uint16_t, std::uint32_t>, Progress> dead_;
  std::uint32_t next_set_ = 0;  // next set of half-open connections
  std::deque<flow_key> waiting_;
  bool has_left_out_ = false;  // this pass left flows out, because `waiting_` was full
  ClientQuestions questions_;
  std::uint64_t severed_ = 0;
};

}  // namespace remora
