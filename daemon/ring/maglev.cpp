// SPDX-License-Identifier: Apache-2.0
//
// The numbers in this file (seeds, multipliers, rotations) are those of Katran's control plane and
// of the hash functions that it uses. Changing any of them changes the ring.
#include "daemon/ring/maglev.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <tuple>
#include <utility>

namespace remora {
namespace {

// Katran's seeds for a real's first slot and for its stride.
constexpr std::uint64_t kOffsetWord = 42;
constexpr std::uint32_t kOffsetSeed = 0;
constexpr std::uint64_t kSkipWord = 2718281828;
constexpr std::uint32_t kSkipSeed = 2307;

// Katran mixes these in to tell IPv4 from IPv6: Linux's AF_INET and AF_INET6.
constexpr std::uint64_t kFamilyIpv4 = 2;
constexpr std::uint64_t kFamilyIpv6 = 10;

constexpr std::uint32_t kNoReal = 0;

// MurmurHash3's finalizer for 64 bits.
std::uint64_t avalanche(std::uint64_t word) {
  word = (word ^ (word >> 33)) * 0xff51afd7ed558ccd;
  word = (word ^ (word >> 33)) * 0xc4ceb9fe1a85ec53;
  return word ^ (word >> 33);
}

// The first half of MurmurHash3 x64 128 over one block of two words.
std::uint64_t murmur3(std::uint64_t first, std::uint64_t second, std::uint32_t seed) {
  constexpr std::uint64_t kFactor1 = 0x87c37b91114253d5;
  constexpr std::uint64_t kFactor2 = 0x4cf5ad432745937f;
  constexpr std::uint64_t kLength = 16;

  std::uint64_t low = seed ^ (std::rotl(first * kFactor1, 31) * kFactor2);
  low = (std::rotl(low, 27) + seed) * 5 + 0x52dce729;
  std::uint64_t high = seed ^ (std::rotl(second * kFactor2, 33) * kFactor1);
  high = (std::rotl(high, 31) + low) * 5 + 0x38495ab5;

  low ^= kLength;
  high ^= kLength;
  low += high;
  high += low;
  return avalanche(low) + avalanche(high);
}

// CityHash's Hash128to64.
std::uint64_t combine(std::uint64_t upper, std::uint64_t lower) {
  constexpr std::uint64_t kFactor = 0x9ddfea08eb382d69;
  std::uint64_t word = (lower ^ upper) * kFactor;
  word = (upper ^ word ^ (word >> 47)) * kFactor;
  return (word ^ (word >> 47)) * kFactor;
}

// FNV-1 with every byte taken as signed, as x86's plain char is.
std::uint32_t fnv1(std::span<const std::uint8_t> bytes) {
  constexpr std::uint32_t kStart = 0x811c9dc5;
  constexpr std::uint32_t kPrime = 0x01000193;
  std::uint32_t hash = kStart;
  for (const std::uint8_t byte : bytes)
    hash = (hash * kPrime) ^ static_cast<std::uint32_t>(static_cast<std::int8_t>(byte));
  return hash;
}

// SpookyHash V2's mix of its four words. Each step rotates a word, adds the next one and mixes the
// sum into the one after that.
void spooky_mix(std::array<std::uint64_t, 4>& words) {
  constexpr int kTurns[] = {50, 52, 30, 41, 54, 48, 38, 37, 62, 34, 5, 36};
  std::size_t turned = 2;
  for (const int turn : kTurns) {
    std::uint64_t& word = words[turned];
    word = std::rotl(word, turn) + words[(turned + 1) % 4];
    words[(turned + 2) % 4] ^= word;
    turned = (turned + 1) % 4;
  }
}

// SpookyHash V2's last mix. Each step mixes a word into the next one and adds that back, rotated.
void spooky_end(std::array<std::uint64_t, 4>& words) {
  constexpr int kTurns[] = {15, 52, 26, 51, 28, 9, 47, 54, 32, 25, 63};
  std::size_t turned = 2;
  for (const int turn : kTurns) {
    std::uint64_t& next = words[(turned + 1) % 4];
    next ^= words[turned];
    words[turned] = std::rotl(words[turned], turn);
    next += words[turned];
    turned = (turned + 1) % 4;
  }
}

// SpookyHash V2 of sixteen bytes with both seeds 0, on a little-endian machine:
// both halves of the hash.
std::pair<std::uint64_t, std::uint64_t> spooky(const std::array<std::uint8_t, 16>& bytes) {
  constexpr std::uint64_t kFiller = 0xdeadbeefdeadbeef;
  constexpr std::uint64_t kLength = 16;
  const auto message = std::bit_cast<std::array<std::uint64_t, 2>>(bytes);

  std::array<std::uint64_t, 4> words = {0, 0, kFiller + message[0], kFiller + message[1]};
  spooky_mix(words);
  words[2] += kFiller;
  words[3] += (kLength << 56) + kFiller;
  spooky_end(words);
  return {words[0], words[1]};
}

// A real on its walk through its own permutation of the slots.
class Contender {
 public:
  Contender(std::uint64_t hash, const RingReal& real)
      : weight(real.weight),
        hash_(hash),
        address_(real.address),
        index_(real.index),
        offset_(static_cast<std::uint32_t>(murmur3(hash, kOffsetWord, kOffsetSeed) % RING_SIZE)),
        skip_(static_cast<std::uint32_t>(murmur3(hash, kSkipWord, kSkipSeed) % (RING_SIZE - 1)) +
              1) {}

  // Takes the next slot that is still free; there must be one.
  void take_slot(std::vector<std::uint32_t>& ring) {
    while (ring[slot()] != kNoReal) ++step_;
    ring[slot()] = index_;
    ++step_;
  }

  bool operator<(const Contender& other) const {
    return std::tie(hash_, address_) < std::tie(other.hash_, other.address_);
  }

  std::uint32_t weight;
  std::uint32_t gathered = 0;  // weight since it last took a slot, for kMaglevV2

 private:
  // Katran computes this in 32 bits, so its wrap-around belongs to the ring.
  std::uint32_t slot() const { return (offset_ + step_ * skip_) % RING_SIZE; }

  std::uint64_t hash_;
  Address address_;
  std::uint32_t index_;
  std::uint32_t offset_;
  std::uint32_t skip_;
  std::uint32_t step_ = 0;
};

// In the first round each real takes as many slots as it has weight, then one slot per round.
void fill_maglev(std::vector<std::uint32_t>& ring, std::vector<Contender>& contenders) {
  std::uint32_t left = RING_SIZE;
  for (;;) {
    for (Contender& contender : contenders) {
      for (; contender.weight > 0; --contender.weight) {
        contender.take_slot(ring);
        if (--left == 0) return;
      }
      contender.weight = 1;
    }
  }
}

// Each real gathers its weight in every round, and takes a slot whenever it has gathered as much as
// the weight of the heaviest.
void fill_maglev_v2(std::vector<std::uint32_t>& ring, std::vector<Contender>& contenders) {
  std::uint32_t heaviest = 0;
  for (const Contender& contender : contenders) heaviest = std::max(heaviest, contender.weight);

  std::uint32_t left = RING_SIZE;
  for (;;) {
    for (Contender& contender : contenders) {
      contender.gathered += contender.weight;
      if (contender.gathered < heaviest) continue;
      contender.gathered -= heaviest;
      contender.take_slot(ring);
      if (--left == 0) return;
    }
  }
}

}  // namespace

std::uint64_t ring_hash(const Address& address) {
  const auto bytes = address.bytes();
  if (address.is_ipv4()) return combine(kFamilyIpv4, fnv1(std::span(bytes).last<4>()));
  const auto [first, second] = spooky(bytes);
  return combine(kFamilyIpv6, combine(first, second));
}

std::vector<std::uint32_t> build_ring(std::span<const RingReal> reals, RingVariant variant) {
  std::vector<Contender> contenders;
  for (const RingReal& real : reals)
    if (real.weight > 0) contenders.emplace_back(ring_hash(real.address), real);
  std::sort(contenders.begin(), contenders.end());

  std::vector<std::uint32_t> ring(RING_SIZE, kNoReal);
  if (contenders.empty()) return ring;
  if (variant == RingVariant::kMaglev)
    fill_maglev(ring, contenders);
  else
    fill_maglev_v2(ring, contenders);
  return ring;
}

bool ring_has_room(std::span<const std::uint32_t> weights) {
  if (weights.empty()) return true;
  const std::uint32_t lightest = *std::min_element(weights.begin(), weights.end());
  const std::uint32_t heaviest = *std::max_element(weights.begin(), weights.end());
  // The round in which the lightest real gets its first slot, and how many slots all reals have by
  // the end of that round.
  const std::uint64_t round = (std::uint64_t{heaviest} + lightest - 1) / lightest;
  const std::uint64_t slots = std::accumulate(
      weights.begin(), weights.end(), std::uint64_t{0},
      [&](std::uint64_t sum, std::uint32_t weight) { return sum + round * weight / heaviest; });
  return slots <= RING_SIZE;
}

}  // namespace remora
