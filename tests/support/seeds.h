// SPDX-License-Identifier: Apache-2.0
//
// The seeds of a test that draws at random. The same each time, so that nothing fails
// only now and then; the environment asks for others:
//
//   REMORA_ROUNDS=5000 build/release/xdp_test --gtest_filter='Property*'
//   REMORA_SEED=123 REMORA_ROUNDS=1 …    one round, again
#pragma once

#include <cstdint>
#include <string>

namespace remora {

struct Seeds {
  std::uint32_t first;
  std::uint32_t rounds;  // one seed each, upwards from the first
};

// `rounds`: unless the environment says otherwise. Throws std::invalid_argument or
// std::out_of_range when it says nonsense.
Seeds seeds(std::uint32_t rounds);

// For SCOPED_TRACE: how to run the round of `seed` again.
std::string again(std::uint32_t seed);

}  // namespace remora
