// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/program_list.h"

#include <stdexcept>

#include "ask.skel.h"
#include "bpf/half_open.h"
#include "daemon/base/bpf_errors.h"
#include "forward.skel.h"
#include "health.skel.h"
#include "mqtt.skel.h"
#include "probe.skel.h"
#include "root.skel.h"

namespace remora {
namespace {

template <auto Bytes>
std::span<const std::byte> image() {
  std::size_t size = 0;
  const void* bytes = Bytes(&size);
  return {static_cast<const std::byte*>(bytes), size};
}

constexpr ProgramSpec kPrograms[] = {
    {kRootProgram, BPF_PROG_TYPE_XDP, image<remora_root__elf_bytes>, true},
    {kStageProgram, BPF_PROG_TYPE_XDP, image<remora_mqtt__elf_bytes>, true},
    {kForwardProgram, BPF_PROG_TYPE_XDP, image<remora_forward__elf_bytes>, false},
    {kProbeProgram, BPF_PROG_TYPE_SCHED_CLS, image<remora_probe__elf_bytes>, true},
    {kAskProgram, BPF_PROG_TYPE_XDP, image<remora_ask__elf_bytes>, false},
    {kHealthProgram, BPF_PROG_TYPE_SCHED_CLS, image<remora_health__elf_bytes>, true},
};

}  // namespace

std::span<const ProgramSpec> program_list() {
  return kPrograms;
}

void set_constants(bpf_object* stage, const StageConstants& constants) {
  remora_mqtt::remora_mqtt__rodata values{};
  values.behind_katran = constants.behind_katran;
  values.hints_in_all = constants.hints;
  values.early_in_all = constants.early_segments;
  values.client_sets = table_sets(constants.clients);
  values.half_open_sets = half_open_table_sets(constants.half_opens);
  bpf_map* map = bpf_object__find_map_by_name(stage, ".rodata");
  if (const int error = bpf_map__set_initial_value(map, &values, sizeof(values)); error != 0) {
    throw std::runtime_error("cannot set the constants of the mqtt stage: " + because(error));
  }
}

}  // namespace remora
