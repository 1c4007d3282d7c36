// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel/pins.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <stdexcept>

#include "daemon/base/bpf_errors.h"
#include "daemon/base/fd.h"

namespace remora {
namespace {

std::optional<__u32> id_of(int fd) {
  struct {
    __u32 type, id;
  } info{};  // how bpf_map_info and bpf_link_info begin
  __u32 size = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) return std::nullopt;
  return info.id;
}

}  // namespace

bool is_pinned(const std::filesystem::path& path, int fd) {
  const Fd found(bpf_obj_get(path.c_str()));
  if (found) return id_of(found.get()) == id_of(fd);
  return errno != ENOENT;
}

void pin_again(const std::filesystem::path& path, int fd) {
  ::unlink(path.c_str());
  if (bpf_obj_pin(fd, path.c_str()) != 0)
    throw std::runtime_error("cannot pin " + path.string() + ": " + because(errno));
}

}  // namespace remora
