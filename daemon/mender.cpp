// SPDX-License-Identifier: Apache-2.0
#include "daemon/mender.h"

#include <linux/ip.h>
#include <netinet/in.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace remora {

Mender::Mender(SessionEnd session_end)
    : socket_(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW)),
      session_end_(session_end) {
  if (!socket_) {
    throw std::system_error(errno, std::generic_category(),
                            "cannot open a raw socket (run as root or with CAP_NET_RAW)");
  }
}

bool Mender::send(const Bytes& packet) {
  iphdr ip;
  std::memcpy(&ip, packet.data(), sizeof(ip));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = ip.daddr;
  if (sendto(socket_.get(), packet.data(), packet.size(), 0, reinterpret_cast<const sockaddr*>(&to),
             sizeof(to)) >= 0) {
    return true;
  }
  if (++counts_.send_failures == 1) {
    spdlog::warn("cannot send to {}: {} (further failures are only counted)",
                 to_string(Address::from_ipv4(ip.daddr)), std::strerror(errno));
  }
  return false;
}

void Mender::reset_client(const Record& record, const Endpoint& service) {
  if (send(reset_of_client(record, service))) ++counts_.resets_sent;
}

void Mender::end_session(const Record& record, const Endpoint& service, const Address& real) {
  const SessionEnd end =
      session_end_ == SessionEnd::kDisconnect ? possible_end(record) : SessionEnd::kReset;
  bool sent = true;
  for (const Bytes& packet : end_of_session(record, service, end)) {
    sent = send(encapsulated(packet, real)) && sent;
  }
  if (!sent) return;
  if (end == SessionEnd::kReset) {
    ++counts_.reset_ends;
  } else {
    ++counts_.clean_ends;
    counts_.good_bytes += record.head.publish_offset;
  }
}

}  // namespace remora
