// SPDX-License-Identifier: Apache-2.0
//
// How a client that wants to cost much work writes its stream, and in which order segments arrive.
//
// Pure. A recipe is a handful of numbers, so that a search can change one at a time.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/support/client.h"
#include "tests/support/packet.h"

namespace remora::bench {

enum class Order : std::uint8_t {
  kInOrder,     // no gap
  kAscending,   // all other segments arrive before the first one
  kDescending,  // the same, the last one first
  kInward,      // the same, first and last in turn
  kShuffled,
  kSwapped,  // each two change places
};
inline constexpr unsigned kOrders = 6;

enum class Aliases : std::uint8_t { kNone, kSet, kUsed, kSetAndUsed };
inline constexpr unsigned kAliasUses = 4;

struct Recipe {
  bool mqtt5 = false;
  bool is_ascii = true;
  Order order = Order::kInOrder;
  Aliases aliases = Aliases::kNone;  // of MQTT 5
  unsigned topics = 2;               // different ones, in turn
  unsigned topic_len = 5;            // bytes
  unsigned levels = 6;
  unsigned message_len = 0;
  unsigned properties = 0;  // of two bytes each; of MQTT 5
  unsigned others = 0;      // packets of two bytes after each PUBLISH
  unsigned segment_len = 1448;
  unsigned segments = 20;

  bool operator==(const Recipe&) const = default;
};

std::string to_string(const Recipe& recipe);

// Any recipe, and one that differs in a few numbers.
Recipe random_recipe(std::mt19937& random);
Recipe variant_of(Recipe recipe, std::mt19937& random);

// The segments of a connection after its CONNECT, in the order of their arrival. The MQTT packets
// fill them; the last one may be cut.
std::vector<Segment> segments_of(const Recipe& recipe, Client& client);

}  // namespace remora::bench
