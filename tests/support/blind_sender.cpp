// SPDX-License-Identifier: Apache-2.0
#include "tests/support/blind_sender.h"

#include "tests/support/mqtt_packets.h"

namespace remora {

BlindSender::BlindSender(const Client& victim, std::string_view topic, std::mt19937& random)
    : victim_(victim.self()),
      service_(victim.service()),
      first_seq_(victim.isn() + 1),
      publish_(publish_packet(topic)),
      random_(random) {}

Segment BlindSender::any_near(std::uint32_t next_seq, std::uint32_t reach) {
  std::uint32_t seq = next_seq - reach + random_() % (2 * reach);
  if (seq == next_seq || seq == first_seq_) seq++;
  Segment segment = random_() % 4 == 0 ? fin() : data(sled(random_() % 200));
  if (random_() % 16 == 0) segment = rst();
  return addressed(segment, seq).acknowledging(static_cast<std::uint32_t>(random_()));
}

Segment BlindSender::repetition(std::uint32_t next_seq) {
  const std::uint32_t back = 1 + random_() % 200;
  return addressed(data(sled(random_() % 300)), next_seq - back)
      .acknowledging(Client::kAcknowledged);
}

Bytes BlindSender::sled(std::size_t length) const {
  return Bytes(length, 0x20) + publish_;
}

Segment BlindSender::addressed(Segment segment, std::uint32_t seq) const {
  return segment.from(victim_).to(service_).seq(seq);
}

}  // namespace remora
