// SPDX-License-Identifier: Apache-2.0
#include "tests/support/seeds.h"

#include <cstdlib>

namespace remora {
namespace {

std::uint32_t from_environment(const char* name, std::uint32_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : static_cast<std::uint32_t>(std::stoul(text));
}

}  // namespace

Seeds seeds(std::uint32_t rounds) {
  return {from_environment("REMORA_SEED", 1), from_environment("REMORA_ROUNDS", rounds)};
}

std::string again(std::uint32_t seed) {
  return "again with REMORA_SEED=" + std::to_string(seed) + " REMORA_ROUNDS=1";
}

}  // namespace remora
