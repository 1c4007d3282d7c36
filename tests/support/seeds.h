// SPDX-License-Identifier: Apache-2.0
//
// The seeds of random tests. They are the same each time, so that no test fails only sometimes.
// The environment can choose others:
//
//   REMORA_ROUNDS=5000 build/release/xdp_test --gtest_filter='Property*'
//   REMORA_SEED=123 REMORA_ROUNDS=1 …    one round, again
#pragma once

#include <cstdint>
#include <string>

namespace remora {

struct Seeds {
  std::uint32_t first;
  std::uint32_t rounds;  // one seed each, counted up from the first
};

// `rounds` is the default; the environment overrides it. Throws std::invalid_argument or
// std::out_of_range if the environment's value is not a number.
Seeds seeds(std::uint32_t rounds);

// For SCOPED_TRACE: how to run the round of `seed` again.
std::string again(std::uint32_t seed);

}  // namespace remora
