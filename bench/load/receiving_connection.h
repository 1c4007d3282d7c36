// SPDX-License-Identifier: Apache-2.0
//
// One connection on which messages arrive: of a subscriber, or at a stand-in for a broker.
#pragma once

#include <functional>

#include "bench/load/tally.h"
#include "daemon/mqtt/packet.h"
#include "daemon/router/peer.h"

namespace remora::load {

class ReceivingConnection {
 public:
  enum class Role { kSubscriber, kBroker };

  // `on_ready`: the subscription is in force. All references must outlive it.
  ReceivingConnection(event_base* base, Fd socket, Role role, std::size_t broker, Tally& tally,
                      std::function<void()> on_ready);

  bool is_over() const { return is_over_; }

 private:
  void read();
  void write();
  void take(ByteView packet, std::size_t header);
  void take_publish(ByteView packet, std::size_t header);
  void end();

  const Role role_;
  const std::size_t broker_;
  Tally& tally_;
  const std::function<void()> on_ready_;
  router::Peer peer_;
  router::ByteQueue in_;  // the beginning of a packet
  router::ByteQueue out_;
  mqtt::Version version_ = mqtt::Version::k311;
  bool is_over_ = false;
};

}  // namespace remora::load
