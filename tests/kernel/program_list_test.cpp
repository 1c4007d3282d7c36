// SPDX-License-Identifier: Apache-2.0
//
// The lists of programs and maps against the BPF objects, which are opened but not loaded.
#include "daemon/kernel/program_list.h"

#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <string>

#include "daemon/base/handles.h"
#include "daemon/config/map_list.h"

namespace remora {
namespace {

BpfObjectHandle open(const ProgramSpec& program) {
  const std::string name(program.name);
  LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = name.c_str());
  const auto image = program.image();
  return BpfObjectHandle(bpf_object__open_mem(image.data(), image.size(), &options));
}

bool is_internal(const bpf_map* map) {
  return std::strchr(bpf_map__name(map), '.') != nullptr;  // .rodata, .bss
}

TEST(ProgramListTest, NamesEachObjectOnce) {
  std::set<std::string_view> names;
  for (const ProgramSpec& program : program_list()) {
    EXPECT_TRUE(names.insert(program.name).second) << program.name;
    EXPECT_TRUE(open(program)) << program.name;
  }
}

TEST(ProgramListTest, TheMapListKnowsEachMapOfThePrograms) {
  std::set<std::string> met;
  for (const ProgramSpec& program : program_list()) {
    const BpfObjectHandle object = open(program);
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object.get()) {
      if (is_internal(map)) continue;
      const std::string name = bpf_map__name(map);
      const MapSpec* spec = find_map_spec(name);
      ASSERT_NE(spec, nullptr) << name << " of " << program.name;
      EXPECT_FALSE(spec->is(kOwn)) << name << " is made by a program";
      EXPECT_EQ(bpf_map__type(map), spec->type) << name;
      EXPECT_EQ(bpf_map__key_size(map), spec->key_size) << name;
      if (spec->value_size != 0) {
        EXPECT_EQ(bpf_map__value_size(map), spec->value_size) << name;
      }
      met.insert(name);
    }
  }
  for (const MapSpec& spec : map_list()) {
    EXPECT_NE(met.contains(std::string(spec.name)), spec.is(kOwn)) << spec.name;
  }
}

}  // namespace
}  // namespace remora
