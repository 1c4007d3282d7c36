// SPDX-License-Identifier: Apache-2.0
//
// Handles each record of the ring: writes a row of the history, ends a reset connection on both
// sides, and learns from a topic that the kernel could not judge.
//
// The client's RST is sent first: the faster it arrives, the sooner the client is back.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/config/config.h"
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
  std::uint64_t topics = 0;      // complete ones
  std::uint64_t invalid = 0;     // of these, invalid names: wildcard, NUL, not UTF-8
  std::uint64_t unrecorded = 0;  // of these, without a row because too much waits for the disk
};

class Recorder {
 public:
  // All references must outlive it.
  Recorder(const Maps& maps, const Ids& ids, const Steering& steering,
           const Predictions& predictions, Ender& ender, History& history);

  // Takes up the mode and the policies, which name what would happen in shadow mode.
  void use(const Config& config);

  // `place` says where the record lies in the ring `ring_id`. A record that an earlier daemon has
  // read does not end anything again.
  void take(const Record& record, RecordPlace place = {});

  // Position of the oldest record still needed, for a piece of an incomplete topic.
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
  void tell(const Observation& mispredict);
  Action in_shadow(Action action, const std::string& group) const;

  const Maps& maps_;
  const Ids& ids_;
  const Steering& steering_;
  const Predictions& predictions_;
  Ender& ender_;
  History& history_;
  std::map<std::string, Action> would_;  // by group, in shadow mode only
  TopicPieces pieces_;
  LastTopics last_topics_;
  UnjudgedCounts unjudged_;
  std::uint64_t records_ = 0;
  const std::uint32_t ring_id_;
  std::uint64_t ended_to_ = 0;    // the value in the map `ring_reading`
  RecordPlace place_;             // place of the record that is being handled
  std::uint64_t told_at_ns_ = 0;  // when the log named a mispredict
  std::uint64_t untold_ = 0;      // those since then
};

}  // namespace remora
