// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as records of the ring buffer, one after the other: they must be read or refused,
// pieces of topics are assembled in bounded memory, and sessions are ended with packets of the
// right length.
//
// The length of each record precedes it: two bytes, the lower one first.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string_view>
#include <vector>

#include "daemon/events/topic_pieces.h"
#include "daemon/packets/builder.h"

namespace remora {
namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::cerr << "records_fuzz: " << what << '\n';
  std::abort();
}

bool is_within(std::string_view part, const std::vector<std::uint8_t>& whole) {
  const auto* begin = reinterpret_cast<const char*>(whole.data());
  return part.data() >= begin && part.data() + part.size() <= begin + whole.size();
}

void mend(const Record& record) {
  const Endpoint services[] = {{Address::from_ipv4(0x0a000001), 1883},
                               {Address(record.head.flow.client), 1883}};
  for (const Endpoint& service : services) {
    reset_of_client(record, service);
    const SessionEnding ending = end_of_session(record, service, SessionEnd::kDisconnect);
    for (const Bytes& packet : {ending.disconnect.value_or(ending.reset), ending.reset}) {
      for (const Address& real : {Address::from_ipv4(1), Address(address{{1, 0, 0, 0}})}) {
        require(encapsulated(packet, record.head.flow, Address(), real).size() > packet.size(),
                "an outer header without length");
      }
    }
  }
}

void check(const std::uint8_t* data, std::size_t size) {
  TopicPieces pieces;
  while (size >= 2) {
    const std::size_t wanted = data[0] | std::size_t{data[1]} << 8;
    data += 2;
    size -= 2;
    // In memory of its own, so that reading beyond it is detected.
    const std::vector<std::uint8_t> bytes(data, data + std::min(wanted, size));
    data += bytes.size();
    size -= bytes.size();

    const auto record = read_record(bytes.data(), bytes.size());
    if (!record) continue;
    require(is_within(record->piece(), bytes), "data outside of the record");
    if (const auto topic = record->topic()) {
      require(is_within(*topic, bytes), "a topic outside of the record");
    }
    if (record->head.action == ACTION_PIECE) {
      const auto topic = pieces.add(*record);
      require(!topic || topic->size() == record->head.topic_len, "a topic of another length");
      require(pieces.in_progress() <= TopicPieces::kTopics, "more topics than there is room for");
    } else if ((record->head.flags & EVENT_SEGMENT) != 0) {
      mend(*record);
    }
  }
}

}  // namespace
}  // namespace remora

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  remora::check(data, size);
  return 0;
}
