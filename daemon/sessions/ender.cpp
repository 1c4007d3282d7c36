// SPDX-License-Identifier: Apache-2.0
#include "daemon/sessions/ender.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "log/log.h"

namespace remora {

Ender::Ender(const Config& config, Forwarder& forwarder) : forwarder_(forwarder) {
  use(config);
}

void Ender::use(const Config& config) {
  session_end_ = config.mispredict.session_end;
  evacuate_ = config.evacuate;
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
  if (evacuate_.farewell == Farewell::kOff) {
    reset_client(record, service);
  } else if (send(farewell_to_client(record, service, evacuate_.reason))) {
    ++counts_.farewells;
  }
}

void Ender::ask_client(const flow_key& key, const Endpoint& service, const flow& entry) {
  if (entry.acked != 0) send(old_byte_to_client(key, service, entry));
}

void Ender::ask_client_without_data(const flow_key& key, const Endpoint& service,
                                    const flow& entry) {
  for (const Bytes& packet : questions_to_client(key, service, entry.edge)) send(packet);
}

void Ender::end_session(const Record& record, const Endpoint& service, const BrokerWay& way,
                        std::uint64_t now_ns) {
  SessionEnding ending = end_of_session(record, service, session_end_);
  if (!ending.disconnect || endings_.size() >= kMostEndings) {
    reset_session(record, service, way);
    return;
  }
  if (!send_to_broker(*ending.disconnect, record.head.flow, way)) return;
  endings_.push_back({now_ns + kEndingNs, kResets, record.head.flow, way, std::move(ending.reset),
                      record.head.publish_offset});
}

void Ender::reset_session(const Record& record, const Endpoint& service, const BrokerWay& way) {
  const Bytes reset = end_of_session(record, service, SessionEnd::kReset).reset;
  if (send_to_broker(reset, record.head.flow, way)) ++counts_.reset_ends;
}

void Ender::send_reset(Ending& ending) {
  const bool is_first = ending.resets_left == kResets;
  --ending.resets_left;
  if (!send_to_broker(ending.reset, ending.flow, ending.way) || !is_first) return;
  ++counts_.clean_ends;
  counts_.good_bytes += ending.good_bytes;
}

void Ender::step(std::uint64_t now_ns) {
  while (!endings_.empty() && endings_.front().due_ns <= now_ns) {
    Ending ending = std::move(endings_.front());
    endings_.pop_front();
    send_reset(ending);
    if (ending.resets_left == 0) continue;
    ending.due_ns = now_ns + kEndingNs;
    endings_.push_back(std::move(ending));
  }
}

}  // namespace remora
