// SPDX-License-Identifier: Apache-2.0
//
// Packet identifiers of messages of QoS 1 and 2 that several brokers deliver to one client. Each
// broker chooses its own; the router gives each message one that is unique for the client.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "daemon/router/options.h"

namespace remora::router {

class Deliveries {
 public:
  struct Origin {
    SessionId session;  // 0: it has ended, so nobody needs the client's answers
    std::uint16_t id;   // chosen by the broker
  };

  // The client's identifier for a broker's message, also for a repeated one. It is the broker's own
  // if that is free. No value if all are in use.
  std::optional<std::uint16_t> begin(SessionId session, std::uint16_t id);
  std::optional<std::uint16_t> client_id(SessionId session, std::uint16_t id) const;
  std::optional<Origin> origin(std::uint16_t client_id) const;
  void end(std::uint16_t client_id);
  // Call this when the session has ended: its identifiers stay in use until the client has
  // answered.
  void forget(SessionId session);

  std::size_t size() const { return origins_.size(); }

 private:
  std::map<std::uint16_t, Origin> origins_;  // by the client's identifier
  std::map<std::pair<SessionId, std::uint16_t>, std::uint16_t> client_ids_;
  std::uint16_t last_ = 0;
};

}  // namespace remora::router
