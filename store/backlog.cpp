// SPDX-License-Identifier: Apache-2.0
#include "store/backlog.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

namespace remora {

std::size_t Backlog::Hash::operator()(const Client& client) const noexcept {
  const std::hash<std::string> hash;
  return hash(client.address) * 31 + hash(client.service);
}

Backlog::Backlog(std::size_t limit, std::size_t last_seen_limit)
    : limit_(limit), last_seen_limit_(last_seen_limit) {}

void Backlog::add(Observation observation) {
  if (merging_.empty() && rows_.size() + taken_ < limit_) {
    rows_.push_back(std::move(observation));
    return;
  }
  if (observation.action == Action::unjudged) {  // does not tell the client's topic
    ++lost_;
    return;
  }
  Client client{observation.service, observation.client};
  if (const auto waiting = merging_.find(client); waiting != merging_.end()) {
    ++merged_;
    if (observation.lesson_time >= waiting->second.lesson_time) {
      waiting->second = std::move(observation);
    }
  } else if (merging_.size() < limit_) {
    merging_.emplace(std::move(client), std::move(observation));
  } else {
    ++lost_;
  }
}

void Backlog::add(LastSeen seen) {
  if (last_seen_.size() < last_seen_limit_) {
    last_seen_.push_back(std::move(seen));
  } else {
    ++last_seen_lost_;
  }
}

void Backlog::add(Home home) {
  std::pair place(home.service, home.client_id);
  if (homes_.size() < limit_ || homes_.contains(place))
    homes_.insert_or_assign(std::move(place), std::move(home));
}

void Backlog::add(Operation operation) {
  if (operations_.size() < limit_)
    operations_.push_back(std::move(operation));
  else
    ++lost_;
}

Batch Backlog::take() {
  Batch batch;
  batch.operations.swap(operations_);
  batch.last_seen.swap(last_seen_);
  for (auto& [place, home] : homes_) batch.homes.push_back(std::move(home));
  homes_.clear();
  if (!rows_.empty()) {
    batch.observations.swap(rows_);
  } else {
    for (auto& [client, newest] : merging_) batch.observations.push_back(std::move(newest));
    merging_.clear();
    std::ranges::sort(batch.observations, {}, &Observation::position);
  }
  taken_ += batch.observations.size();
  return batch;
}

void Backlog::finish(std::size_t observations) {
  taken_ -= observations;
}

void Backlog::give_back(Batch rest) {
  finish(rest.observations.size());
  for (LastSeen& seen : rest.last_seen) add(std::move(seen));
  for (Home& home : rest.homes) homes_.try_emplace({home.service, home.client_id}, home);
  operations_.insert(operations_.begin(), std::make_move_iterator(rest.operations.begin()),
                     std::make_move_iterator(rest.operations.end()));
  if (rest.observations.empty()) return;
  rest.observations.insert(rest.observations.end(), std::make_move_iterator(rows_.begin()),
                           std::make_move_iterator(rows_.end()));
  rows_.swap(rest.observations);
}

}  // namespace remora
