// SPDX-License-Identifier: Apache-2.0
#include "bench/load/tally.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace remora::load {

using nlohmann::json;

json Delays::summary() const {
  if (delays_us_.empty()) return nullptr;
  std::vector<std::uint32_t> sorted = delays_us_;
  std::ranges::sort(sorted);
  const auto at = [&](double share) {
    return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
  };
  return {{"p50", at(0.5)}, {"p99", at(0.99)}, {"p999", at(0.999)}, {"max", sorted.back()}};
}

void Tally::add(std::size_t broker, std::string_view topic, ByteView payload,
                std::uint64_t now_ns) {
  const auto stamp = read_stamp(payload);
  if (!stamp) {
    ++foreign_;
    return;
  }
  ++messages_;
  bytes_ += payload.size();
  std::vector<std::uint8_t>& arrivals = arrivals_[stamp->client];
  if (arrivals.size() <= stamp->number) arrivals.resize(stamp->number + 1);
  std::uint8_t& times = arrivals[stamp->number];
  if (times < 0xff) ++times;
  auto place = topics_.find(topic);
  if (place == topics_.end())
    place = topics_.emplace(topic, std::map<std::size_t, std::uint64_t>{}).first;
  ++place->second[broker];
  delays_.add(now_ns - std::min(now_ns, stamp->due_ns));
}

json Tally::summary() const {
  std::uint64_t lost = 0, repeated = 0, distinct = 0;
  for (const auto& [client, arrivals] : arrivals_) {
    for (const std::uint8_t times : arrivals) {
      lost += times == 0;
      distinct += times != 0;
      repeated += times > 1 ? times - 1U : 0U;
    }
  }
  json topics = json::object();
  for (const auto& [topic, brokers] : topics_) {
    for (const auto& [broker, count] : brokers) topics[topic][std::to_string(broker)] = count;
  }
  return {{"clients", arrivals_.size()},
          {"messages", messages_},
          {"distinct", distinct},
          {"lost", lost},
          {"repeated", repeated},
          {"foreign", foreign_},
          {"bytes", bytes_},
          {"delay_us", delays_.summary()},
          {"topics", topics}};
}

}  // namespace remora::load
