// SPDX-License-Identifier: Apache-2.0
//
// An address in the form that socket calls need.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>

#include "daemon/base/address.h"

namespace remora {

class SocketAddress {
 public:
  // `port` is in host order. `interface_index` is for a link-local address; 0: none.
  explicit SocketAddress(const Address& address, std::uint16_t port = 0,
                         unsigned interface_index = 0) {
    if (address.is_ipv4()) {
      ipv4_.sin_family = AF_INET;
      ipv4_.sin_port = htons(port);
      ipv4_.sin_addr.s_addr = address.ipv4();
    } else {
      ipv6_.sin6_family = AF_INET6;
      ipv6_.sin6_port = htons(port);
      ipv6_.sin6_scope_id = interface_index;
      std::memcpy(&ipv6_.sin6_addr, address.bytes().data(), sizeof(ipv6_.sin6_addr));
    }
  }

  int family() const { return any_.sa_family; }
  const sockaddr* get() const { return &any_; }
  socklen_t size() const { return family() == AF_INET ? sizeof(ipv4_) : sizeof(ipv6_); }

 private:
  union {
    sockaddr any_;
    sockaddr_in ipv4_;
    sockaddr_in6 ipv6_{};
  };
};

}  // namespace remora
