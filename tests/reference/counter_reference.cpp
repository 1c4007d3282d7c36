// SPDX-License-Identifier: Apache-2.0
#include "tests/reference/counter_reference.h"

namespace remora::reference {

std::string counter_table(std::span<const CounterFacts> counters) {
  std::string text = "| counter | class | unit | meaning |\n|---|---|---|---|\n";
  for (const CounterFacts& counter : counters) {
    text += "| `" + std::string(counter.name) + "` | " + std::string(to_string(counter.kind)) +
            " | " + std::string(counter.unit) + " | " + std::string(counter.meaning) + " |\n";
  }
  return text;
}

}  // namespace remora::reference
