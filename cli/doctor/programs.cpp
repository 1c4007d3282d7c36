// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include <cerrno>
#include <system_error>

#include "bpf/abi.h"
#include "daemon/base/attachment.h"

namespace remora::doctor {
namespace {

[[noreturn]] void fail(int error, const std::string& what) {
  throw std::system_error(error < 0 ? -error : error, std::generic_category(), what);
}

}  // namespace

Fd open_program(std::uint32_t id) {
  Fd program(bpf_prog_get_fd_by_id(id));
  if (!program) fail(errno, "cannot open the BPF program " + std::to_string(id));
  return program;
}

std::string program_name(std::uint32_t id) {
  const Fd program = open_program(id);
  bpf_prog_info info{};
  __u32 size = sizeof(info);
  if (bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0) {
    fail(errno, "cannot read about the BPF program " + std::to_string(id));
  }
  return info.name;
}

AttachedXdp attached_xdp(unsigned interface_index) {
  LIBBPF_OPTS(bpf_xdp_query_opts, query);
  if (const int error = bpf_xdp_query(static_cast<int>(interface_index), 0, &query); error != 0) {
    fail(error, "cannot ask for the interface's XDP program");
  }
  AttachedXdp found;
  found.native_id = query.drv_prog_id;
  found.generic_id = query.skb_prog_id;
  if (found.native_id != 0) found.native_name = program_name(found.native_id);
  if (found.generic_id != 0) found.generic_name = program_name(found.generic_id);
  return found;
}

std::string probe_name(unsigned interface_index) {
  LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = static_cast<int>(interface_index),
              .attach_point = BPF_TC_INGRESS);
  LIBBPF_OPTS(bpf_tc_opts, place, .handle = kProbeHandle, .priority = kProbePriority);
  const int error = bpf_tc_query(&hook, &place);
  // EINVAL: there is no clsact qdisc at all.
  if (error == -ENOENT || error == -EINVAL) return "";
  if (error != 0) fail(error, "cannot ask for the TC probe");
  return program_name(place.prog_id);
}

Fd open_pin(const std::filesystem::path& pin) {
  Fd map(bpf_obj_get(pin.c_str()));
  if (!map && errno != ENOENT) fail(errno, "cannot open " + pin.string());
  return map;
}

std::map<std::uint32_t, std::string> programs_by_slot(int array_fd) {
  std::map<std::uint32_t, std::string> found;
  for (std::uint32_t slot = 0; slot < ROOT_SLOTS; ++slot) {
    std::uint32_t id = 0;
    if (bpf_map_lookup_elem(array_fd, &slot, &id) == 0) {
      found[slot] = program_name(id);
    } else if (errno != ENOENT) {
      fail(errno, "cannot read the root array");
    }
  }
  return found;
}

unsigned interface_of_link(int link_fd) {
  bpf_link_info info{};
  __u32 size = sizeof(info);
  if (bpf_obj_get_info_by_fd(link_fd, &info, &size) != 0) fail(errno, "cannot read the XDP link");
  return info.xdp.ifindex;
}

}  // namespace remora::doctor
