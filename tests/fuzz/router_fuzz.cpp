// SPDX-License-Identifier: Apache-2.0
//
// The engine of routed connections between a client and brokers that send any bytes, cut
// anywhere, while brokers refuse, answer, are drained or evacuated, and die.
//
// The input is a list of steps; a step is a byte that says which, a byte or two, and for bytes that
// are sent their number and the bytes. The first byte says which CONNECT precedes them, if any.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>

#include "tests/router/world.h"

namespace remora {
namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::cerr << "router_fuzz: " << what << '\n';
  std::abort();
}

// The input from left to right; beyond its end it is all zeros.
struct Input {
  const std::uint8_t* data;
  std::size_t size;

  std::uint8_t byte() {
    if (size == 0) return 0;
    --size;
    return *data++;
  }
  Bytes bytes() {
    const std::size_t count = std::min<std::size_t>(byte(), size);
    const Bytes taken(data, data + count);
    data += count;
    size -= count;
    return taken;
  }
};

constexpr std::size_t kMemory = 2'000;

void step(World& world, Input& input) {
  const unsigned kind = input.byte() % 10;
  if (kind < 3) {
    const Bytes bytes = input.bytes();
    if (!world.is_closed() && bytes.size() <= world.relay().client_room()) world.send(bytes);
    return;
  }
  const unsigned which = input.byte();
  if (kind == 7) {
    world.wait(router::Time(which * 100));
    return;
  }
  if (world.links.empty()) return;
  auto place = world.links.begin();
  std::advance(place, which % world.links.size());
  const router::SessionId id = place->first;
  const bool is_closed = place->second.is_closed;
  if (kind == 3) {
    const Bytes bytes = input.bytes();
    if (!is_closed && bytes.size() <= world.relay().broker_room()) world.say(id, bytes);
  } else if (kind == 4) {
    world.answer(id, std::min<std::size_t>(input.byte(), world.relay().broker_room()));
  } else if (kind == 5) {
    world.write(id, input.byte());
    world.write_to_client(input.byte());
  } else if (kind == 6 && !is_closed) {
    world.die(id);
  } else if (kind == 8) {
    world.leave(id);
  } else if (kind == 9) {
    world.evict(id);
  }
}

// A broker gets only messages whose topics belong to its group.
void check_groups(const World& world) {
  for (const auto& [id, link] : world.links) {
    const auto& packets = link.broker.packets;
    if (packets.empty() || packets[0].type != kConnect) continue;
    for (const PlainPublish& message : link.broker.messages) {
      require(group_of_topic(message.topic) == link.asked.group, "a message at a wrong group");
    }
  }
}

void check(const std::uint8_t* data, std::size_t size) {
  Input input{data, size};
  const unsigned begin = input.byte();
  const bool to_all = (begin & 16) != 0;
  World world({.subscribe = to_all ? router::Subscribe::kAll : router::Subscribe::kHome,
               .longest_connect = 500,
               .longest_packet = 500,
               .longest_kept = 500,
               .memory = kMemory});
  world.writes_at_once = (begin & 4) != 0;
  world.refuses = [&](const router::OpenSession& asked) {
    return (begin & 8) != 0 && asked.attempt == 0;
  };
  if (begin % 4 != 0) {
    const MqttVersion versions[] = {MqttVersion::k31, MqttVersion::k311, MqttVersion::k5};
    world.send(connect_packet(versions[begin % 4 - 1]));
  }
  while (input.size > 0) {
    step(world, input);
    // Bytes that wait, the kept heads of cut packets, and one step's input on each side.
    require(world.relay().memory() < 30'000, "the memory is not bounded");
  }
  const bool is_mqtt =
      std::ranges::find(world.actions, router::Action(router::NotMqtt{})) == world.actions.end();
  if (!world.is_closed()) world.hang_up();
  world.run();
  if (is_mqtt) check_groups(world);
  world.wait(router::Time(11'000));
  require(world.relay().is_over(), "the connection has not ended");
}

}  // namespace
}  // namespace remora

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  remora::check(data, size);
  return 0;
}
