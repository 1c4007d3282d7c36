// SPDX-License-Identifier: Apache-2.0
//
// A sender that forges segments of somebody else's connection: it knows addresses and ports, and
// comes near the sequence number, but sees none of the broker's answers.
#pragma once

#include <cstdint>
#include <random>

#include "tests/support/client.h"
#include "tests/support/packet.h"

namespace remora {

class BlindSender {
 public:
  // Its PUBLISHes are of `topic`. `random` must outlive the sender.
  BlindSender(const Client& victim, std::string_view topic, std::mt19937& random);

  // Any segment within `reach` bytes of the victim's next one: a FIN, a RST, or data. It
  // acknowledges any number. It hits neither that place nor the one after the SYN exactly: a RST
  // counts there.
  Segment any_near(std::uint32_t next_seq, std::uint32_t reach);
  // Data that are old bytes to the broker at first, and may go on with new ones. It knows what the
  // victim acknowledges.
  Segment repetition(std::uint32_t next_seq);
  // Packets of two bytes, so that MQTT is read from any even offset on, and then a PUBLISH.
  Bytes sled(std::size_t length) const;

 private:
  Segment addressed(Segment segment, std::uint32_t seq) const;

  Peer victim_, service_;
  std::uint32_t first_seq_;
  Bytes publish_;
  std::mt19937& random_;
};

}  // namespace remora
