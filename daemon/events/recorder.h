// SPDX-License-Identifier: Apache-2.0
//
// Handles each record of the ring: writes a row of the history, ends a reset connection on
// both sides, and draws the lesson from a topic that the kernel could not judge.
//
// The client's RST goes first: the faster it learns, the sooner it is back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/events/last_topics.h"
#include "daemon/events/reader.h"
#include "daemon/events/topic_pieces.h"
#include "daemon/kernel/ids.h"
#include "daemon/kernel/maps.h"
#include "daemon/sessions/ender.h"
#include "daemon/steering/predictions.h"
#include "daemon/steering/steering.h"
#include "store/history.h"

namespace remora {

// Topics that the kernel did not judge.
struct UnjudgedCounts {
  std::uint64_t topics = 0;      // whole ones
  std::uint64_t invalid = 0;     // of these, no topic names: wildcard, NUL, no UTF-8
  std::uint64_t unrecorded = 0;  // of these, without a row: too much waits for the disk
};

class Recorder {
 public:
  // All must outlive it.
  Recorder(const Maps& maps, const Ids& ids, const Steering& steering,
           const Predictions& predictions, Ender& ender, History& history);

  // `place`: where the record lies in the ring `ring_id`. One that an earlier daemon has read
  // ends nothing again.
  void take(const Record& record, RecordPlace place = {});

  // Records from here on are needed: they have pieces of a topic that is not whole yet.
  std::uint64_t needed_from() const { return pieces_.oldest(); }

  std::uint64_t records() const { return records_; }
  const UnjudgedCounts& unjudged() const { return unjudged_; }
  const TopicPieces& pieces() const { return pieces_; }

 private:
  bool is_first_time();
  void mend(const Record& record);
  void remember_unjudged(const event& head);
  void learn(const Record& piece);
  LessonTime time_of(const event& head, std::string_view topic) const;
  void remember(const event& head, std::string topic, const std::string& group, LessonTime time);

  const Maps& maps_;
  const Ids& ids_;
  const Steering& steering_;
  const Predictions& predictions_;
  Ender& ender_;
  History& history_;
  TopicPieces pieces_;
  LastTopics last_topics_;
  UnjudgedCounts unjudged_;
  std::uint64_t records_ = 0;
  const std::uint32_t ring_id_;
  std::uint64_t ended_to_ = 0;  // as `ring_reading` has it
  RecordPlace place_;           // of the record that is being handled
};

}  // namespace remora
