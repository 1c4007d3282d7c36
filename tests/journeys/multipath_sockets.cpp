// SPDX-License-Identifier: Apache-2.0
//
// For LD_PRELOAD: makes each TCP socket that a program opens a Multipath TCP socket.
#include <dlfcn.h>
#include <netinet/in.h>
#include <sys/socket.h>

extern "C" int socket(int domain, int type, int protocol) noexcept {
  static const auto kernels_socket =
      reinterpret_cast<int (*)(int, int, int)>(dlsym(RTLD_NEXT, "socket"));
  constexpr int kFlags = SOCK_NONBLOCK | SOCK_CLOEXEC;
  const bool is_tcp = (domain == AF_INET || domain == AF_INET6) &&
                      (type & ~kFlags) == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP);
  return kernels_socket(domain, type, is_tcp ? IPPROTO_MPTCP : protocol);
}
