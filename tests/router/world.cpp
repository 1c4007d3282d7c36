// SPDX-License-Identifier: Apache-2.0
#include "tests/router/world.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace remora {

using router::GroupId;
using router::SessionId;

namespace {

constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

router::Routing plain_routing() {
  return {.default_group = 0,
          .groups = {0, 1, 2},
          .group_of = group_of_topic,
          .home_of = [](std::string_view client_id) -> std::optional<GroupId> {
            if (client_id == "lives-in-g7") return 7;
            return std::nullopt;
          },
          .name_of = [](GroupId group) -> std::string_view {
            static const std::string kNames[] = {"g0", "g1", "g2", "g3", "g4",
                                                 "g5", "g6", "g7", "g8", "g9"};
            return kNames[group];
          }};
}

}  // namespace

GroupId group_of_topic(std::string_view topic) {
  const bool has_group =
      topic.size() > 2 && topic[0] == 'g' && topic[1] >= '0' && topic[1] <= '9' && topic[2] == '/';
  return has_group ? static_cast<GroupId>(topic[1] - '0') : 0;
}

World::World(const router::Options& options)
    : routing(plain_routing()), options_(options), relay_(options_, routing, now) {}

template <class Call>
void World::hand_in(Bytes bytes, const Call& call) {
  call(mqtt::ByteView(bytes));
  act();
  relay_.settle();
  std::ranges::fill(bytes, std::uint8_t{0xee});
}

void World::act() {
  for (router::Action& action : relay_.take_actions()) {
    actions.push_back(action);
    if (const auto* open = std::get_if<router::OpenSession>(&action)) {
      Link& link = links[open->session];
      link.asked = *open;
      if (refuses && refuses(*open)) {
        link.is_closed = true;
        relay_.broker_closed(open->session, now);
        act();
      } else if (set_up) {
        set_up(open->group, link.broker);
      }
    } else if (const auto* close = std::get_if<router::CloseSession>(&action)) {
      links.at(close->session).is_closed = true;
    } else if (std::holds_alternative<router::CloseClient>(action)) {
      client_closed = true;
    }
  }
  if (!writes_at_once) return;
  bool moves = false;
  do {
    moves = write_to_client(kAll) != 0;
    for (auto& [id, link] : links) moves |= write(id, kAll) != 0;
  } while (moves);
}

Bytes World::gathered(const std::vector<mqtt::ByteView>& ranges, std::size_t most) {
  Bytes bytes;
  for (const mqtt::ByteView range : ranges) {
    const mqtt::ByteView part = range.first(std::min(range.size(), most - bytes.size()));
    bytes.insert(bytes.end(), part.begin(), part.end());
  }
  return bytes;
}

std::size_t World::write(SessionId id, std::size_t most) {
  Link& link = links.at(id);
  if (link.is_closed) return 0;
  const Bytes bytes = gathered(relay_.for_broker(id), most);
  if (bytes.empty()) return 0;
  link.broker.get(bytes);
  relay_.wrote_to_broker(id, bytes.size(), now);
  if (!writes_at_once) relay_.settle();
  act();
  return bytes.size();
}

std::size_t World::write_to_client(std::size_t most) {
  if (client_closed) return 0;
  const Bytes bytes = gathered(relay_.for_client(), most);
  if (bytes.empty()) return 0;
  to_client = to_client + bytes;
  relay_.wrote_to_client(bytes.size(), now);
  if (!writes_at_once) relay_.settle();
  act();
  return bytes.size();
}

void World::send(const Bytes& bytes) {
  hand_in(bytes, [&](mqtt::ByteView view) { relay_.from_client(view, now); });
}

void World::hang_up() {
  client_closed = true;
  hand_in({}, [&](mqtt::ByteView) { relay_.client_closed(now); });
}

void World::say(SessionId id, const Bytes& bytes) {
  hand_in(bytes, [&](mqtt::ByteView view) { relay_.from_broker(id, view, now); });
}

void World::die(SessionId id) {
  links.at(id).is_closed = true;
  hand_in({}, [&](mqtt::ByteView) { relay_.broker_closed(id, now); });
}

void World::leave(SessionId id) {
  hand_in({}, [&](mqtt::ByteView) { relay_.leave(id, now); });
}

bool World::evict(SessionId id) {
  bool has_ended = false;
  hand_in({}, [&](mqtt::ByteView) { has_ended = relay_.evict(id, now); });
  return has_ended;
}

std::size_t World::answer(SessionId id, std::size_t most) {
  Link& link = links.at(id);
  if (link.is_closed) return 0;
  Bytes& answers = link.broker.answers;
  if (answers.empty() && link.broker.has_closed) {
    die(id);
    return 1;
  }
  const auto count = static_cast<std::ptrdiff_t>(std::min(most, answers.size()));
  if (count == 0) return 0;
  const Bytes bytes(answers.begin(), answers.begin() + count);
  answers.erase(answers.begin(), answers.begin() + count);
  say(id, bytes);
  return bytes.size();
}

void World::run() {
  bool moves = true;
  while (moves) {
    moves = write_to_client(kAll) != 0;
    for (auto& [id, link] : links) {
      moves |= write(id, kAll) != 0;
      moves |= answer(id, kAll) != 0;
    }
  }
}

void World::wait(router::Time time) {
  for (const router::Time end = now + time; now < end;) {
    now += std::min(router::Time(500), end - now);
    hand_in({}, [&](mqtt::ByteView) { relay_.tick(now); });
  }
}

World::Link& World::last_of(GroupId group) {
  Link* last = nullptr;
  for (auto& [id, link] : links) {
    if (link.asked.group == group) last = &link;
  }
  if (last == nullptr) throw std::out_of_range("no session at group " + std::to_string(group));
  return *last;
}

std::vector<PlainPacket> World::received() const {
  Bytes stream = to_client;
  return take_packets(stream);
}

std::vector<int> World::received_types() const {
  std::vector<int> types;
  for (const PlainPacket& packet : received()) types.push_back(packet.type);
  return types;
}

}  // namespace remora
