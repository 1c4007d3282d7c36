// SPDX-License-Identifier: Apache-2.0
//
// The benchmark's figures, as a table or as JSON.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "bench/chain.h"
#include "bench/machine.h"

namespace remora::bench {

// The median of the measured rounds, and the quartiles around it.
struct Figure {
  double median = 0, low = 0, high = 0;
};

Figure figure_of(std::vector<double> samples);

struct Row {
  std::string name;
  Figure ns;        // per packet, without the wrapper's cost
  Figure baseline;  // in the same rounds
  Figure ratio;     // ns to baseline, round by round
  std::optional<double> goal;
};

// The median of the rounds on one CPU, and on two CPUs at once.
struct ScalingRow {
  std::string name;
  double one_ns = 0, two_ns = 0;
  double factor = 0;  // as many packets as one CPU takes
  double floor = 0;   // the floor's factor, in the same rounds
};

struct Report {
  Machine machine;
  std::vector<VerifierCost> programs;
  std::vector<Row> rows;                           // compared with the floor
  std::optional<std::vector<Row>> against_katran;  // compared with Katran alone, if there is one
  std::vector<ScalingRow> on_two_cpus;             // none on a machine with one CPU
};

void print_table(std::ostream& out, const Report& report);
void print_json(std::ostream& out, const Report& report);

}  // namespace remora::bench
