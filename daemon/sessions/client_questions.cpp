// SPDX-License-Identifier: Apache-2.0
#include "daemon/sessions/client_questions.h"

namespace remora {
namespace {

// Linux answers one such question within half a second, and ignores the others.
constexpr std::uint64_t kAskAgainNs = 700'000'000;

}  // namespace

void ClientQuestions::ask(const flow_key& key, const flow& entry, std::uint64_t now_ns) {
  const auto service = steering_.endpoint_of(key.service);
  if (!service) return;
  ender_.ask_client(key, *service, entry.edge);
  asked_.push_back({key, entry.isn, now_ns, now_ns});
}

void ClientQuestions::step(std::uint64_t now_ns) {
  while (!asked_.empty() && now_ns - asked_.front().at_ns >= kAskAgainNs) {
    const Asked asked = asked_.front();
    asked_.pop_front();
    const auto entry = maps_.flows.find(asked.key);
    const auto service = steering_.endpoint_of(asked.key.service);
    if (!entry || entry->isn != asked.isn || entry->state != state_ || !service) continue;
    if (now_ns - asked.began_ns >= patience_ns_) {
      on_silence_(asked.key, *entry, now_ns);
      continue;
    }
    ender_.ask_client(asked.key, *service, entry->edge);
    asked_.push_back({asked.key, asked.isn, asked.began_ns, now_ns});
  }
}

}  // namespace remora
