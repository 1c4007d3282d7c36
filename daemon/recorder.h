// SPDX-License-Identifier: Apache-2.0
//
// What becomes of each record of the ring: a row of the history and, for a reset
// connection, its end on both sides.
//
// The client's RST goes first: the faster it learns, the sooner it is back.
#pragma once

#include <cstdint>

#include "daemon/mender.h"
#include "daemon/numbers.h"
#include "daemon/steering.h"
#include "store/history.h"

namespace remora {

class Recorder {
 public:
  // All must outlive it.
  Recorder(const Numbers& numbers, const Steering& steering, Mender& mender, History& history);

  void take(const Record& record);

  std::uint64_t records() const { return records_; }

 private:
  void mend(const Record& record);
  void remember(const Record& record);

  const Numbers& numbers_;
  const Steering& steering_;
  Mender& mender_;
  History& history_;
  std::uint64_t records_ = 0;
};

}  // namespace remora
