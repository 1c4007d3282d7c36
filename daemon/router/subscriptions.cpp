// SPDX-License-Identifier: Apache-2.0
#include "daemon/router/subscriptions.h"

#include <algorithm>

#include "daemon/mqtt/answers.h"
#include "daemon/mqtt/cursor.h"

namespace remora::router {
namespace {

// The offset of the codes in a SUBACK or UNSUBACK (MQTT 5.0 §3.9.3, §3.11.3).
std::size_t codes_of(ByteView packet, std::size_t header, mqtt::Version version) {
  mqtt::Cursor cursor(packet.subspan(header));
  cursor.two_bytes();
  if (version == mqtt::Version::k5) cursor.take(cursor.variable_integer());
  return cursor.failed() ? packet.size() : header + cursor.at();
}

// A failure if there is one, otherwise the lower QoS.
std::uint8_t worse(std::uint8_t left, std::uint8_t right) {
  constexpr std::uint8_t kFailure = 0x80;
  if (left >= kFailure) return left;
  if (right >= kFailure) return right;
  return std::min(left, right);
}

std::size_t header_of(ByteView packet) {
  std::size_t size = 1;
  while ((packet[size] & 0x80) != 0) ++size;
  return size + 1;
}

}  // namespace

void Subscriptions::ask(std::uint16_t id, ByteView packet, const std::set<SessionId>& sessions) {
  pending_[id] = {sessions, {}};
  is_complete_ = is_complete_ && log_.size() + packet.size() <= longest_;
  if (is_complete_) log_.insert(log_.end(), packet.begin(), packet.end());
}

std::optional<Bytes> Subscriptions::answer(SessionId session, const mqtt::Part& part,
                                           mqtt::Version version) {
  const auto ack = mqtt::parse_ack(part, version);
  const auto found = ack ? pending_.find(ack->id) : pending_.end();
  if (found == pending_.end() || found->second.sessions.erase(session) == 0) return std::nullopt;
  Bytes& answer = found->second.answer;
  if (answer.empty()) {
    answer.assign(part.bytes.begin(), part.bytes.end());
  } else {
    std::size_t mine = codes_of(answer, header_of(answer), version);
    std::size_t theirs = codes_of(part.bytes, part.header, version);
    for (; mine < answer.size() && theirs < part.bytes.size(); ++mine, ++theirs) {
      answer[mine] = worse(answer[mine], part.bytes[theirs]);
    }
  }
  if (!found->second.sessions.empty()) return std::nullopt;
  const Bytes complete = std::move(answer);
  pending_.erase(found);
  return complete;
}

void Subscriptions::move(SessionId from, SessionId to) {
  for (auto& [id, pending] : pending_) {
    if (pending.sessions.erase(from) != 0) pending.sessions.insert(to);
  }
}

}  // namespace remora::router
