// SPDX-License-Identifier: Apache-2.0
#include "daemon/sessions/ender.h"

#include <cerrno>
#include <cstring>

#include "log/log.h"

namespace remora {

Ender::Ender(const Config& config, Forwarder& forwarder) : forwarder_(forwarder) {
  use(config);
}

void Ender::use(const Config& config) {
  session_end_ = config.mispredict.session_end;
  farewell_reason_ = config.evacuate.reason;
}

bool Ender::count_sent(bool is_sent, const Address& to) {
  if (!is_sent && ++counts_.send_failures == 1) {
    log::warn("cannot send to {}: {} (further failures are only counted)", to_string(to),
              std::strerror(errno));
  }
  return is_sent;
}

bool Ender::send(const Bytes& packet) {
  const Address to = destination_of(packet);
  return count_sent(sender_.send(packet, to), to);
}

bool Ender::send_to_broker(const Bytes& packet, const flow_key& flow, const BrokerWay& way) {
  return count_sent(forwarder_.send(packet, flow, way),
                    way.real.value_or(way.vip.value_or(destination_of(packet))));
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
