// SPDX-License-Identifier: Apache-2.0
// Writes the events of the history: adds rows, or counts in existing ones.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "store/database.h"
#include "store/event_rows.h"
#include "store/observation.h"

namespace remora {

// A client's topic, and the group to which it belonged.
struct TopicState {
  std::string topic;
  std::string group;
};

class EventWriter {
 public:
  // `connection` must outlive it. `per_minute` is the number of rows for one client.
  EventWriter(Connection& connection, std::uint32_t per_minute);

  // `old_topic` is empty for a new client. `now_s` never goes back.
  void write(const Observation& seen, const std::optional<std::string>& old_topic,
             const std::optional<std::string>& from_group, std::int64_t now_s);

  // The state of a client after its last event at `at_ms` or earlier, if there is one.
  std::optional<TopicState> before(const std::string& client, const std::string& service,
                                   std::int64_t at_ms);

  // Call this when the transaction was rolled back.
  void roll_back() { rows_.clear(); }

 private:
  bool count(const EventRows::Client& client, std::uint64_t event, const Observation& seen,
             std::int64_t now_s);
  std::int64_t insert(const Observation& seen, const std::optional<std::string>& old_topic,
                      const std::optional<std::string>& from_group);
  std::int64_t insert_summary(const Observation& seen);

  Connection* connection_;
  EventRows rows_;
  Statement insert_;
  Statement count_;
  Statement find_;
};

// Binds the topic as text if a terminal can show it, otherwise as bytes.
void bind_topic(Statement& statement, int index, std::string_view topic);

}  // namespace remora
