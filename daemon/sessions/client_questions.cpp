// SPDX-License-Identifier: Apache-2.0
#include "daemon/sessions/client_questions.h"

namespace remora {
namespace {

constexpr std::uint64_t kAskAgainNs = 200'000'000;
// Every fourth question is one without data: Linux answers these at most that often.
constexpr std::uint32_t kWithoutData = 4;

}  // namespace

void ClientQuestions::ask(const flow_key& key, const flow& entry, std::uint64_t now_ns) {
  send({key, entry.isn, 0, now_ns, now_ns}, entry);
}

void ClientQuestions::send(Asked asked, const flow& entry) {
  const auto service = steering_.endpoint_of(asked.key.service);
  if (!service) return;
  // Only one question at a time: the first answer ends the connection, and a second one would be
  // refused before the client is told. Without `acked` only the question without data is possible.
  const std::uint32_t turn = entry.acked == 0 ? 0 : kWithoutData - 1;
  if (asked.times % kWithoutData == turn) {
    ender_.ask_client_without_data(asked.key, *service, entry);
  } else {
    ender_.ask_client(asked.key, *service, entry);
  }
  ++asked.times;
  asked_.push_back(asked);
}

void ClientQuestions::step(std::uint64_t now_ns) {
  while (!asked_.empty() && now_ns - asked_.front().at_ns >= kAskAgainNs) {
    Asked asked = asked_.front();
    asked_.pop_front();
    const auto entry = maps_.flows.find(asked.key);
    if (!entry || entry->isn != asked.isn || entry->state != state_) continue;
    if (now_ns - asked.began_ns >= patience_ns_) {
      on_silence_(asked.key, *entry, now_ns);
      continue;
    }
    asked.at_ns = now_ns;
    send(asked, *entry);
  }
}

}  // namespace remora
