// SPDX-License-Identifier: Apache-2.0
//
// Our TC programs on an interface. They share one handle; in each direction each has its own
// priority.
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <span>
#include <string_view>

namespace remora {

struct Filter {
  std::string_view program;  // name in program_list()
  const char* function;
  bpf_tc_attach_point direction;
  std::uint32_t priority;
};

std::span<const Filter> filters();

// Replaces an earlier filter of ours, and adds the clsact qdisc if necessary. Throws
// std::runtime_error with the remedy.
void attach_filter(unsigned interface_index, const Filter& filter, int program_fd);

// Whether exactly this program is attached.
bool has_filter(unsigned interface_index, const Filter& filter, int program_fd);

// Removes all our filters, and the qdisc if nothing else uses it. Returns whether there were any.
bool detach_filters(unsigned interface_index);

}  // namespace remora
