// SPDX-License-Identifier: Apache-2.0
#include "daemon/router/lingering.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace remora::router {
namespace {

constexpr Time kLonger{5'000};  // more than a peer needs

}  // namespace

void Lingering::add(Fd socket, Time now) {
  if (shutdown(socket.get(), SHUT_WR) != 0) return;
  Entry& entry = entries_.emplace_back(Entry{std::move(socket), now, false, nullptr});
  entry.readable =
      std::make_unique<Watch>(base_, entry.socket.get(), EV_READ, [this, &entry] { drain(entry); });
  entry.readable->set(true);
}

void Lingering::drain(Entry& entry) {
  const ssize_t count = ::read(entry.socket.get(), buffer_.data(), buffer_.size());
  if (count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR))) return;
  // This runs in the watch's callback, so the next tick frees it.
  entry.readable->set(false);
  entry.is_done = true;
}

void Lingering::tick(Time now) {
  entries_.remove_if(
      [&](const Entry& entry) { return entry.is_done || now - entry.since >= kLonger; });
}

}  // namespace remora::router
