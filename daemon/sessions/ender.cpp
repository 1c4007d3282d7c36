// SPDX-License-Identifier: Apache-2.0
#include "daemon/sessions/ender.h"

#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "daemon/base/socket_address.h"

namespace remora {
namespace {

// The header in front is ours (raw(7), and its like for IPv6); nothing is received.
Fd raw_socket(int family) {
  Fd socket(::socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW));
  if (!socket && errno != EAFNOSUPPORT) {
    throw std::system_error(errno, std::generic_category(),
                            "cannot open a raw socket (run as root or with CAP_NET_RAW)");
  }
  return socket;
}

}  // namespace

Ender::Ender(const Config& config, const ForwarderSlot* slot)
    : slot_(slot), socket4_(raw_socket(AF_INET)), socket6_(raw_socket(AF_INET6)) {
  use(config);
}

void Ender::use(const Config& config) {
  session_end_ = config.mispredict.session_end;
  farewell_reason_ = config.evacuate.reason;
  outer_source4_ = config.lb.outer_source4;
  outer_source6_ = config.lb.outer_source6;
}

bool Ender::count_sent(bool is_sent, const Address& to) {
  if (!is_sent && ++counts_.send_failures == 1) {
    spdlog::warn("cannot send to {}: {} (further failures are only counted)", to_string(to),
                 std::strerror(errno));
  }
  return is_sent;
}

bool Ender::send(const Bytes& packet) {
  const Address to = destination_of(packet);
  const SocketAddress receiver(to);
  const Fd& socket = to.is_ipv4() ? socket4_ : socket6_;
  errno = EAFNOSUPPORT;  // of a socket that is not there
  const bool is_sent = socket && sendto(socket.get(), packet.data(), packet.size(), 0,
                                        receiver.get(), receiver.size()) >= 0;
  return count_sent(is_sent, to);
}

bool Ender::send_to_broker(const Bytes& packet, const flow_key& flow, const BrokerWay& way) {
  const Bytes inner = way.vip ? readdressed(packet, *way.vip) : packet;
  if (!way.real) {
    errno = ENETUNREACH;
    return count_sent(slot_ && slot_->send(inner), destination_of(inner));
  }
  const Address source = way.real->is_ipv4() ? outer_source4_.value_or(Address())
                                             : outer_source6_.value_or(katran_source6(flow));
  return send(encapsulated(inner, source, *way.real));
}

void Ender::reset_client(const Record& record, const Endpoint& service) {
  if (send(reset_of_client(record, service))) ++counts_.resets_sent;
}

void Ender::send_client_elsewhere(const Record& record, const Endpoint& service) {
  if (send(farewell_to_client(record, service, farewell_reason_))) ++counts_.farewells;
}

void Ender::ask_client(const flow_key& flow, const Endpoint& service, std::uint32_t next) {
  for (const Bytes& packet : questions_to_client(flow, service, next)) send(packet);
}

void Ender::end_session(const Record& record, const Endpoint& service, const BrokerWay& way) {
  const SessionEnd end =
      session_end_ == SessionEnd::kDisconnect ? possible_end(record) : SessionEnd::kReset;
  bool sent = true;
  for (const Bytes& packet : end_of_session(record, service, end)) {
    sent = send_to_broker(packet, record.head.flow, way) && sent;
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
