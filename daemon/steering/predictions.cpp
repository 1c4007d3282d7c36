// SPDX-License-Identifier: Apache-2.0
#include "daemon/steering/predictions.h"

#include <bpf/libbpf.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "daemon/base/address.h"
#include "daemon/base/callback.h"
#include "daemon/base/clock.h"
#include "daemon/kernel/fill_gauge.h"
#include "log/log.h"

namespace remora {
namespace {

// An LRU table begins to evict before it is full: each CPU holds up to so many
// free entries for itself (the kernel's LOCAL_FREE_TARGET).
constexpr std::uint64_t kHeldPerCpu = 128;

// Ends the reading of the history.
struct Stopped {};

// The service of a client; nullptr: it is not configured.
const TopicMatching::Service* service_of(const TopicMatching& matching, const KnownClient& client) {
  const auto at = Endpoint::parse(client.service);
  const auto service = at ? matching.services.find(*at) : matching.services.end();
  return service == matching.services.end() ? nullptr : &service->second;
}

std::optional<client_key> key_of(const TopicMatching& matching, const KnownClient& client) {
  const auto* service = service_of(matching, client);
  const auto address = Address::parse(client.client);
  if (!service || !address) return std::nullopt;
  return client_key{address->abi(), service->number, 0};
}

std::uint16_t group_of(const TopicMatching& matching, const KnownClient& client) {
  return matching.group_for(*service_of(matching, client), client.topic);
}

}  // namespace

Predictions::Predictions(const Maps& maps, History& history, std::uint64_t limit)
    : maps_(maps), history_(history), limit_(limit) {}

std::uint64_t Predictions::room(Found found) const {
  const auto cpus = static_cast<std::uint64_t>(std::max(libbpf_num_possible_cpus(), 1));
  const std::uint64_t usable = limit_ - std::min(kHeldPerCpu * cpus, limit_ / 4);
  if (found == Found::kNewTable) return usable;
  const std::uint64_t used = count_entries(maps_.predictions);
  return usable > used ? usable - used : 0;
}

std::uint64_t Predictions::load(const TopicMatching& matching, Found found) {
  const Clocks clocks;
  std::uint64_t left = room(found), loaded = 0;
  std::vector<client_key> keys;
  std::vector<prediction> values;
  history_.for_each_client([&](std::span<const KnownClient> clients) {
    keys.clear();
    values.clear();
    for (const KnownClient& client : clients) {
      const auto key = key_of(matching, client);
      if (!key || keys.size() >= left) continue;
      keys.push_back(*key);
      values.push_back({.topic_hash = matching.hash(client.topic),
                        .seen_at_ns = clocks.to_monotonic_ns(client.last_seen_ms),
                        .group = group_of(matching, client),
                        .pad = {}});
    }
    std::uint64_t written = keys.size();
    if (found == Found::kNewTable) {
      maps_.predictions.put_all(keys, values);
    } else {
      written = 0;
      for (std::size_t i = 0; i < keys.size(); ++i) {
        written += maps_.predictions.insert(keys[i], values[i]) ? 1 : 0;
      }
    }
    left -= written;
    loaded += written;
  });
  return loaded;
}

std::uint64_t Predictions::rematch(const TopicMatching& matching, const std::stop_token& stop) {
  std::uint64_t changed = 0;
  const auto use = [&](std::span<const KnownClient> clients) {
    if (stop.stop_requested()) throw Stopped();
    for (const KnownClient& client : clients) {
      const auto key = key_of(matching, client);
      if (!key) continue;
      std::optional<prediction> known = maps_.predictions.find(*key);
      // Another topic by now: the kernel has matched it itself.
      if (!known || known->topic_hash != matching.hash(client.topic)) continue;
      const std::uint16_t group = group_of(matching, client);
      if (known->group == group) continue;
      known->group = group;
      maps_.predictions.put(*key, *known);
      ++changed;
    }
  };
  try {
    history_.for_each_client(use);
  } catch (const Stopped&) {
    // The one who stopped it matches all of them again.
  }
  return changed;
}

void Predictions::start_rematch(std::shared_ptr<const TopicMatching> matching) {
  rematching_ = std::jthread();  // stops and joins: a batch at most
  rematching_ = std::jthread([this, matching = std::move(matching)](const std::stop_token& stop) {
    guarded("matching the known topics anew", [&] {
      const std::uint64_t changed = rematch(*matching, stop);
      if (!stop.stop_requested()) log::info("{} predictions follow their topics", changed);
    });
  });
}

}  // namespace remora
