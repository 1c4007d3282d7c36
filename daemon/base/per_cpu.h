// SPDX-License-Identifier: Apache-2.0
//
// Elements of per-CPU maps.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace remora {

// One element of a per-CPU array: a value for each possible CPU. Throws std::system_error.
template <class Value>
std::vector<Value> read_per_cpu(int fd, __u32 index, const char* name) {
  static_assert(sizeof(Value) % 8 == 0, "the kernel pads per-CPU values to 8 bytes");
  static const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) throw std::runtime_error("cannot find out the number of CPUs");
  std::vector<Value> values(static_cast<std::size_t>(cpus));
  if (bpf_map_lookup_elem(fd, &index, values.data()) != 0) {
    throw std::system_error(errno, std::generic_category(),
                            std::string("cannot read the map ") + name);
  }
  return values;
}

}  // namespace remora
