// SPDX-License-Identifier: Apache-2.0
#include "bench/load/publisher.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>

#include "daemon/base/clock.h"

namespace remora::load {
namespace {

using namespace std::chrono_literals;

constexpr double kNsPerSecond = 1e9;
// Bytes that a client may have waiting in bulk.
constexpr std::size_t kMostWaiting = 64 * 1024;

}  // namespace

Publisher::Publisher(Plan plan) : plan_(std::move(plan)) {}

void Publisher::run() {
  for (std::uint32_t i = 0; i < plan_.clients; ++i) {
    const auto source = plan_.sources.empty()
                            ? std::nullopt
                            : std::optional(plan_.sources[i % plan_.sources.size()]);
    auto socket = router::Peer::connecting(plan_.to, source);
    if (!socket) throw std::runtime_error("cannot connect to " + to_string(plan_.to));
    clients_.push_back(std::make_unique<PublishingClient>(loop_.base(), plan_.client, counts_, i,
                                                          std::move(*socket)));
  }
  loop_.every(1ms, "the plan", [this] { step(); });
  loop_.every(1s, "progress", [this] { show_progress(); });
  loop_.run();
}

void Publisher::step() {
  const std::uint64_t now_ns = monotonic_ns();
  if (began_at_ns_ == 0) {
    if (!may_begin()) return;
    began_at_ns_ = monotonic_ns();
  }
  if (planned_ < plan_.messages) {
    plan_.per_second > 0 ? publish_due(now_ns) : publish_bulk();
    for (const auto& client : clients_) client->write();
    if (planned_ < plan_.messages) return;
    for (const auto& client : clients_) client->finish();
  }
  if (counts_.ended + counts_.failed < plan_.clients) return;
  ended_at_ns_ = now_ns;
  loop_.stop();
}

bool Publisher::may_begin() {
  if (plan_.begins == Plan::Begins::kAtOnce) return true;
  if (counts_.connected + counts_.failed < plan_.clients) return false;
  if (plan_.begins == Plan::Begins::kConnected) return true;
  while (planned_ < plan_.first) publish(monotonic_ns());
  for (const auto& client : clients_) client->write();
  std::cout << "connected" << std::endl;
  std::string line;
  std::getline(std::cin, line);
  return true;
}

void Publisher::publish_due(std::uint64_t now_ns) {
  while (planned_ < plan_.messages) {
    const double at_s = static_cast<double>(planned_ - plan_.first) / plan_.per_second;
    const std::uint64_t due_ns = began_at_ns_ + static_cast<std::uint64_t>(at_s * kNsPerSecond);
    if (due_ns > now_ns) return;
    publish(due_ns);
  }
}

// All clients get one message after the other, until none takes more.
void Publisher::publish_bulk() {
  for (bool any = true; any && planned_ < plan_.messages;) {
    any = false;
    for (std::uint32_t i = 0; i < plan_.clients && planned_ < plan_.messages; ++i) {
      const PublishingClient& client = *clients_[planned_ % plan_.clients];
      if (!client.is_over() && client.backlog() > kMostWaiting) continue;
      publish(monotonic_ns());
      any = true;
    }
  }
}

void Publisher::publish(std::uint64_t due_ns) {
  const std::uint64_t client = planned_ % plan_.clients, turn = planned_ / plan_.clients;
  const auto& topics = plan_.client.topics;
  const std::uint64_t topic = plan_.topics == Plan::Topics::kOneEach ? client : client + turn;
  clients_[client]->publish(topics[topic % topics.size()], due_ns);
  ++planned_;
}

void Publisher::show_progress() const {
  std::cerr << counts_.connected << " connected, " << planned_ << " of " << plan_.messages
            << " messages due, " << counts_.sent << " sent, " << counts_.acknowledged
            << " acknowledged, " << counts_.failed << " connections failed\n";
}

nlohmann::json Publisher::summary() const {
  const double seconds = static_cast<double>(ended_at_ns_ - began_at_ns_) / kNsPerSecond;
  return {{"clients", plan_.clients},
          {"connected", counts_.connected},
          {"failed", counts_.failed},
          {"sent", counts_.sent},
          {"acknowledged", counts_.acknowledged},
          {"seconds", seconds},
          {"per_second", static_cast<double>(counts_.sent - plan_.first) / std::max(seconds, 1e-9)},
          {"acknowledgement_us", counts_.acknowledgements.summary()}};
}

}  // namespace remora::load
