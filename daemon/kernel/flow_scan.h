// SPDX-License-Identifier: Apache-2.0
//
// Walks the flow table for all parts of the daemon that visit every flow.
//
// One walk serves them all, and gives back places that no flow uses. Each step reads a batch,
// so that the loop is not held up. On the loop's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bpf/abi.h"
#include "daemon/kernel/flow_table.h"

namespace remora {

class FlowVisitor {
 public:
  virtual ~FlowVisitor() = default;

  // Whether a pass over the table should begin now instead of when the next one is due.
  virtual bool wants_pass() const { return false; }

  virtual void begin_pass(std::uint64_t /*now_ns*/) {}

  enum class Verdict { kStays, kRemoved };
  // `entry` was read a moment ago. Later visitors do not see a flow that this one has removed.
  virtual Verdict visit(const flow_key& key, const flow& entry, std::uint64_t now_ns) = 0;

  virtual void end_batch() {}
  virtual void end_pass() {}
};

class FlowScan {
 public:
  // Flows read in one step.
  static constexpr std::size_t kBatch = 4096;

  // `table` must outlive it.
  explicit FlowScan(const FlowTable& table) : reader_(table, kBatch), reclaimer_(table) {}

  // Call this before the first pass. Visitors are called in the order in which they were added;
  // they must outlive it.
  void add(FlowVisitor& visitor) { visitors_.push_back(&visitor); }

  // Called often. Reads a batch while a pass is under way or due. Throws std::system_error.
  void step(std::uint64_t now_ns);

  // Makes a whole pass at once, before the loop runs.
  void run_pass(std::uint64_t now_ns);

 private:
  bool is_due(std::uint64_t now_ns) const;
  void begin_pass(std::uint64_t now_ns);

  FlowReader reader_;
  PlaceReclaimer reclaimer_;
  std::vector<FlowVisitor*> visitors_;
  bool in_pass_ = false;
  bool is_first_ = true;
  std::size_t flows_in_pass_ = 0;
  std::uint64_t interval_ns_ = 0;  // from the beginning of the last pass to the next one
  std::uint64_t began_at_ns_ = 0;
};

}  // namespace remora
