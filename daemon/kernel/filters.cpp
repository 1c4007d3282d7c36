// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/filters.h"

#include <bpf/bpf.h>

#include <cerrno>
#include <stdexcept>
#include <string>

#include "daemon/base/attachment.h"
#include "daemon/base/bpf_errors.h"
#include "daemon/base/link.h"
#include "daemon/kernel/program_list.h"

namespace remora {
namespace {

constexpr Filter kFilters[] = {
    {kProbeProgram, "remora_probe", BPF_TC_INGRESS, kProbePriority},
    {kHealthProgram, "remora_health_in", BPF_TC_INGRESS, kProbePriority + 1},
    {kHealthProgram, "remora_health_out", BPF_TC_EGRESS, kProbePriority},
};

bpf_tc_hook hook_of(unsigned interface_index, bpf_tc_attach_point direction) {
  bpf_tc_hook hook{};
  hook.sz = sizeof(hook);
  hook.ifindex = static_cast<int>(interface_index);
  hook.attach_point = direction;
  return hook;
}

}  // namespace

std::span<const Filter> filters() {
  return kFilters;
}

void attach_filter(unsigned interface_index, const Filter& filter, int program_fd) {
  bpf_tc_hook hook = hook_of(interface_index, filter.direction);
  if (const int error = bpf_tc_hook_create(&hook); error != 0 && error != -EEXIST) {
    throw std::runtime_error("cannot add the clsact qdisc: " + because(error) +
                             "; the kernel needs sch_ingress");
  }
  LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program_fd, .flags = BPF_TC_F_REPLACE,
              .handle = kProbeHandle, .priority = filter.priority);
  if (const int error = bpf_tc_attach(&hook, &options); error != 0) {
    throw std::runtime_error("cannot attach the TC program " + std::string(filter.function) + ": " +
                             because(error) + "; the kernel needs cls_bpf");
  }
}

bool has_filter(unsigned interface_index, const Filter& filter, int program_fd) {
  bpf_prog_info info{};
  __u32 size = sizeof(info);
  if (bpf_obj_get_info_by_fd(program_fd, &info, &size) != 0) return false;
  bpf_tc_hook hook = hook_of(interface_index, filter.direction);
  LIBBPF_OPTS(bpf_tc_opts, options, .handle = kProbeHandle, .priority = filter.priority);
  return bpf_tc_query(&hook, &options) == 0 && options.prog_id == info.id;
}

bool detach_filters(unsigned interface_index) {
  bool any = false;
  for (const Filter& filter : kFilters) {
    bpf_tc_hook hook = hook_of(interface_index, filter.direction);
    LIBBPF_OPTS(bpf_tc_opts, options, .handle = kProbeHandle, .priority = filter.priority);
    any = bpf_tc_detach(&hook, &options) == 0 || any;
  }
  if (any) remove_empty_clsact(interface_index);
  return any;
}

}  // namespace remora
