// SPDX-License-Identifier: Apache-2.0
//
// Whether a run did what its case says. If a packet took another path, the counters show it.
#pragma once

#include <cstdint>
#include <string>

#include "bench/cases.h"
#include "bench/chain.h"
#include "bench/runner.h"

namespace remora::bench {

[[noreturn]] void fail(const Case& of, const std::string& what);

// Whether the case's units have that counter.
bool counts(const Case& of, counter counter);

// Throw std::runtime_error: if the counters do not fit so many packets of the case, or if the last
// packet does not look as it should.
void check_counts(const Case& it, const Counts& found, std::uint64_t packets);
void check_packet(const Case& it, const Outcome& outcome);

}  // namespace remora::bench
