// SPDX-License-Identifier: Apache-2.0
#include "bench/load/publishing_client.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "bench/load/packets.h"
#include "daemon/base/clock.h"
#include "daemon/mqtt/answers.h"

namespace remora::load {
namespace {

constexpr std::size_t kLongestAnswer = 64 * 1024;

}  // namespace

PublishingClient::PublishingClient(event_base* base, const ClientOptions& options,
                                   ClientCounts& counts, std::uint32_t number, Fd socket)
    : options_(options),
      counts_(counts),
      client_(number),
      peer_(
          base, std::move(socket), false, [this] { read(); }, [this] { write(); }),
      reader_(mqtt::Sender::kBroker, kLongestAnswer) {
  reader_.set_version(options.version);
  out_.append(connect_packet(options.version, options.prefix + "-" + std::to_string(number)));
  set_watches();
}

void PublishingClient::publish(const std::string& topic, std::uint64_t due_ns) {
  waiting_.push_back({&topic, next_number_++, due_ns});
  send_waiting();
}

void PublishingClient::finish() {
  is_finishing_ = true;
  send_waiting();
  write();
}

void PublishingClient::send_waiting() {
  if (is_over_ || !is_connected_) return;
  while (!waiting_.empty() && (options_.qos == 0 || in_flight_.size() < options_.window)) {
    send(waiting_.front());
    waiting_.pop_front();
  }
  if (!is_finishing_ || !waiting_.empty() || !in_flight_.empty()) return;
  is_finishing_ = false;
  out_.append(mqtt::disconnect_packet(options_.version));
}

void PublishingClient::send(const Message& message) {
  const std::size_t size = std::max(options_.size, sizeof(Stamp));
  const std::uint16_t id = next_id_;
  out_.append(publish_head(options_.version, *message.topic, options_.qos, id, size));
  const Stamp stamp{.client = client_, .number = message.number, .due_ns = message.due_ns};
  Bytes payload(size, '.');
  std::memcpy(payload.data(), &stamp, sizeof(stamp));
  out_.append(payload);
  ++counts_.sent;
  if (options_.qos == 0) return;
  in_flight_.emplace_back(id, message.due_ns);
  next_id_ = next_id_ == 0xffff ? 1 : next_id_ + 1;
}

void PublishingClient::write() {
  if (is_over_) return;
  if (!peer_.is_open() && !peer_.finish_connecting()) return fail();
  if (!out_.empty()) {
    const auto count = peer_.write({out_.view()});
    if (!count) return fail();
    out_.pop(*count);
  }
  set_watches();
}

void PublishingClient::read() {
  static std::array<std::uint8_t, 64 * 1024> buffer;
  const auto count = peer_.read(buffer);
  if (!count) {
    // The broker closes after DISCONNECT.
    const bool is_done =
        is_connected_ && !is_finishing_ && out_.empty() && waiting_.empty() && in_flight_.empty();
    if (!is_done) return fail();
    is_over_ = true;
    ++counts_.ended;
    peer_.want(false, false);
    peer_.release();
    return;
  }
  ByteView input(buffer.data(), *count);
  while (const auto part = reader_.next(input)) take(*part);
  if (reader_.problem()) return fail();
  send_waiting();
  write();
}

void PublishingClient::take(const mqtt::Part& part) {
  switch (part.type()) {
    case mqtt::Type::kConnack:
      is_connected_ = true;
      ++counts_.connected;
      break;
    case mqtt::Type::kPubrec:
      if (const auto ack = mqtt::parse_ack(part, options_.version))
        out_.append(mqtt::ack_packet(mqtt::Type::kPubrel, ack->id));
      break;
    case mqtt::Type::kPuback:
    case mqtt::Type::kPubcomp:
      if (const auto ack = mqtt::parse_ack(part, options_.version)) acknowledged(ack->id);
      break;
    default:
      break;
  }
}

void PublishingClient::acknowledged(std::uint16_t id) {
  const auto found = std::ranges::find(in_flight_, id, [](const auto& it) { return it.first; });
  if (found == in_flight_.end()) return;
  counts_.acknowledgements.add(monotonic_ns() - found->second);
  ++counts_.acknowledged;
  in_flight_.erase(found);
}

void PublishingClient::fail() {
  if (is_over_) return;
  is_over_ = true;
  ++counts_.failed;
  peer_.want(false, false);
  peer_.release();
}

void PublishingClient::set_watches() {
  if (!is_over_) peer_.want(true, !out_.empty());
}

}  // namespace remora::load
