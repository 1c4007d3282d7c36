// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/bpf_errors.h"

#include <cerrno>
#include <cstring>

namespace remora {

std::string because(int error) {
  return std::strerror(error < 0 ? -error : error);
}

std::string remedy_for_load(int error) {
  switch (error < 0 ? -error : error) {
    case EPERM:
      return "; run as root or with CAP_BPF, CAP_NET_ADMIN, CAP_NET_RAW and CAP_PERFMON";
    case EACCES:  // the verifier refuses, also if CAP_PERFMON is missing
      return "; give it CAP_PERFMON, or run as root; the log at level debug shows the verifier's "
             "words";
    case ENOMEM:
    case E2BIG:
      return "; lower [limits]";
    case EMFILE:
    case ENFILE:
      return "; allow more file descriptors (LimitNOFILE in the unit, ulimit -n)";
    case EINVAL:
    case ENOTSUP:
      return "; Linux 5.18 or later is needed (ring buffer, bpf_loop, bpf_xdp_load_bytes); the "
             "log at level debug shows the verifier's words";
    default:
      return "; the log at level debug shows more";
  }
}

}  // namespace remora
