// SPDX-License-Identifier: Apache-2.0
#include "store/event_rows.h"

#include <algorithm>
#include <functional>
#include <iterator>

namespace remora {

std::size_t EventRows::Hash::operator()(const Client& client) const noexcept {
  const std::hash<std::string> hash;
  return hash(client.address) * 31 + hash(client.service);
}

EventRows::Rows& EventRows::rows_of(const Client& client) {
  if (const auto known = clients_.find(client); known != clients_.end()) {
    ages_.splice(ages_.end(), ages_, known->second.age);
    return known->second;
  }
  if (clients_.size() >= kClients) {
    clients_.erase(ages_.front());
    ages_.pop_front();
  }
  ages_.push_back(client);
  Rows& rows = clients_[client];
  rows.age = std::prev(ages_.end());
  return rows;
}

std::optional<std::int64_t> EventRows::find(const Client& client, std::uint64_t event,
                                            std::int64_t now_s) {
  const auto known = clients_.find(client);
  if (known == clients_.end()) return std::nullopt;
  std::vector<Row>& rows = known->second.rows;
  std::erase_if(rows, [&](const Row& row) { return row.until_s <= now_s; });
  const auto row = std::ranges::find(rows, event, &Row::event);
  if (row == rows.end()) return std::nullopt;
  return row->id;
}

bool EventRows::take_share(const Client& client, std::size_t bytes, std::int64_t now_s) {
  Rows& rows = rows_of(client);
  if (rows.spent == 0 || now_s - rows.minute_began_s >= kMinuteS) {
    rows.minute_began_s = now_s;
    rows.spent = 0;
  }
  if (rows.spent >= per_minute_ * kLargeRow) return false;
  rows.spent += kLargeRow + bytes;
  return true;
}

void EventRows::add(const Client& client, std::uint64_t event, std::int64_t row, std::int64_t now_s,
                    std::int64_t lasts_s) {
  std::vector<Row>& rows = rows_of(client).rows;
  if (rows.size() >= kRows) rows.erase(rows.begin());
  rows.push_back({event, row, now_s + lasts_s});
}

void EventRows::clear() {
  clients_.clear();
  ages_.clear();
}

}  // namespace remora
