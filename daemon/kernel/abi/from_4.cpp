// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/abi/from_4.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "daemon/base/clock.h"

namespace remora {
namespace {

// Copies a structure that did not change.
template <class Now, class Old>
Now same_bytes(const Old& old) {
  static_assert(sizeof(Now) == sizeof(Old));
  Now now;
  std::memcpy(&now, &old, sizeof(now));
  return now;
}

stream stream_from_4(const abi4::stream& old) {
  auto now = same_bytes<stream>(old);
  now.flags = static_cast<__u8>(old.flags & abi4::kStreamFlags);
  return now;
}

// "31 and more" becomes "MAX_GAPS and more"; in either case no alias is valid any more.
__u8 gaps_from_4(const abi4::stream& old) {
  const unsigned gaps = old.flags >> abi4::kStreamGapShift;
  return static_cast<__u8>(gaps == abi4::kMostStreamGaps ? MAX_GAPS : gaps);
}

bool convert_place(const __u32& number, const abi4::flow_place& old, __u32& new_number,
                   flow_place& now) {
  new_number = number;
  now.key = same_bytes<flow_key>(old.key);
  now.flow = flow_from_4(old.flow);
  return true;
}

bool convert_half_open(const abi4::half_open_key& key, const abi4::flow& old,
                       half_open_key& new_key, flow& now) {
  new_key = same_bytes<half_open_key>(key);
  now = flow_from_4(old);
  return true;
}

// ABI 5 introduces the clock of lessons; the daemon sets it.
bool convert_settings(const __u32& number, const abi4::settings& old, __u32& new_number,
                      settings& now) {
  new_number = number;
  std::memcpy(&now, &old, sizeof(old));
  return true;
}

MapConversion convert_predictions() {
  const LessonClock clock(monotonic_ns(), unix_ms(), 0, 0);
  return {"predictions", sizeof(client_key), sizeof(abi4::prediction),
          [clock](EntryView key, EntryView value, EntryBytes& new_key, EntryBytes& new_value) {
            abi4::prediction old;
            std::memcpy(&old, value.data(), sizeof(old));
            const prediction now = prediction_from_4(old, clock);
            new_key.assign(key.begin(), key.end());
            new_value.resize(sizeof(now));
            std::memcpy(new_value.data(), &now, sizeof(now));
            return true;
          }};
}

bool convert_record(EntryView, EntryView record, EntryBytes&, EntryBytes& now) {
  abi4::event old;
  if (record.size() < sizeof(old)) return false;
  std::memcpy(&old, record.data(), sizeof(old));
  const event head = event_from_4(old);
  const EntryView data = record.subspan(sizeof(old));
  now.resize(sizeof(head) + data.size());
  std::memcpy(now.data(), &head, sizeof(head));
  std::ranges::copy(data, now.begin() + sizeof(head));
  return true;
}

}  // namespace

flow flow_from_4(const abi4::flow& old) {
  flow now{};
  now.seen_at_ns = old.seen_at_ns;
  now.edge = old.end_seq;
  // Indexes cannot be larger: `reals` has 4096 entries. 0 means "to be picked".
  constexpr __u32 kMost = std::numeric_limits<__u16>::max();
  now.real = static_cast<__u16>(old.real <= kMost ? old.real : 0);
  now.group = old.group;
  now.flags = old.flags;
  // ABI 4 does not tell which connections went beyond their CONNECT, so none may give way.
  if (old.state != FLOW_HALF_OPEN) now.flags |= FLOW_PROVEN;
  now.state = old.state;
  now.gaps = gaps_from_4(old.stream);
  now.generation = old.generation;
  now.topic_hash = old.topic_hash;
  now.stream = stream_from_4(old.stream);
  now.isn = old.isn;
  now.prior_group = old.prior_group;
  now.early = 0;  // the segments are not taken over: the stream is judged again at a known topic
  now.first_early = old.first_early;
  now.last_early = old.last_early;
  now.gap_began = old.gap_began;
  if (now.state != FLOW_HALF_OPEN) now.open_qos2 = QOS2_UNKNOWN;  // ABI 4 does not count them
  return now;
}

event event_from_4(const abi4::event& old) {
  event now{};
  now.seen_at_ns = old.seen_at_ns;
  now.flow = same_bytes<flow_key>(old.flow);
  now.seq = old.seq;
  now.ack = old.ack;
  now.real = old.real;
  now.publish_offset = old.publish_offset;
  now.from_group = old.from_group;
  now.to_group = old.to_group;
  now.topic_offset = old.topic_offset;
  now.topic_len = old.topic_len;
  now.data_len = old.data_len;
  now.flags = old.flags;
  now.action = old.action;
  now.options_len = old.options_len;
  std::ranges::copy(old.options, now.options);
  return now;
}

// The report of the lesson may have been lost. It is taken as reported all the same: otherwise the
// daemon would get a report about every client again.
prediction prediction_from_4(const abi4::prediction& old, const LessonClock& clock) {
  prediction now{};
  now.topic_hash = old.topic_hash;
  now.time = lesson_clock(clock.clock_ns(), old.seen_at_ns);
  now.group = old.group;
  now.flags = PREDICTION_TOLD;
  return now;
}

AbiStep step_from_4(const OpenPin&) {
  return {.conversions = {convert_entries("flows", convert_place),
                          convert_entries("half_open", convert_half_open),
                          convert_entries("settings", convert_settings),
                          convert_predictions(),
                          {"events", 0, 0, convert_record}},
          .gone = {"answerings", "openings", "guards"}};
}

}  // namespace remora
