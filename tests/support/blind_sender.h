// SPDX-License-Identifier: Apache-2.0
//
// Forges segments of another client's connection: knows its addresses and ports, comes near its
// sequence number, and sees none of the broker's answers.
#pragma once

#include <cstdint>
#include <random>

#include "tests/support/client.h"
#include "tests/support/packet.h"

namespace remora {

class BlindSender {
 public:
  // All its PUBLISHes have the topic `topic`. `random` must outlive the sender.
  BlindSender(const Client& victim, std::string_view topic, std::mt19937& random);

  // Any segment within `reach` bytes of the victim's next one: a FIN, a RST, or data, with any
  // acknowledgement number. It avoids that exact place and the one after the SYN, where a RST
  // takes effect.
  Segment any_near(std::uint32_t next_seq, std::uint32_t reach);
  // Data that begin with bytes that the broker has and may go on with new ones. Their
  // acknowledgement number is the victim's.
  Segment repetition(std::uint32_t next_seq);
  // Packets of two bytes, so that a reader finds packets from any even offset on; then a PUBLISH.
  Bytes sled(std::size_t length) const;

 private:
  Segment addressed(Segment segment, std::uint32_t seq) const;

  Peer victim_, service_;
  std::uint32_t first_seq_;
  Bytes publish_;
  std::mt19937& random_;
};

}  // namespace remora
