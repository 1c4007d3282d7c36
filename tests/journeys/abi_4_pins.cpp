// SPDX-License-Identifier: Apache-2.0
//
// abi_4_pins FOLDER: turns the pinned maps of an instance into those that a remorad of ABI 4
// would have left.
#include "tests/support/abi_4_pins.h"

#include <cstdio>
#include <exception>

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: abi_4_pins FOLDER\n");
    return 2;
  }
  try {
    remora::downgrade_to_abi_4(argv[1]);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "abi_4_pins: %s\n", error.what());
    return 1;
  }
}
