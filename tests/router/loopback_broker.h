// SPDX-License-Identifier: Apache-2.0
//
// A fake broker on a socket of the loopback device, with its own thread.
#pragma once

#include <netinet/in.h>  // before the kernel's, which then agree with it

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "daemon/base/endpoint.h"
#include "daemon/base/fd.h"
#include "tests/router/fake_broker.h"

namespace remora {

// Listens on a free port of 127.0.0.1.
Fd loopback_listener(int backlog = 1024);
Endpoint endpoint_of(const Fd& socket);
// A connected, blocking socket.
Fd connect_to(const Endpoint& endpoint);

class LoopbackBroker {
 public:
  LoopbackBroker();
  ~LoopbackBroker();

  Endpoint endpoint() const { return endpoint_; }

  // ---- its behaviour
  std::atomic<bool> reads = true;
  // Closes each connection at its n-th message, without an answer; 0: never.
  std::atomic<std::size_t> dies_at = 0;

  // ---- what it has received on all connections
  std::vector<PlainPublish> messages() const;
  std::size_t count(PacketType type) const;
  std::size_t connections() const;
  std::size_t disconnects() const { return count(kDisconnect); }

 private:
  struct Link {
    Fd socket;
    FakeBroker broker;
  };

  void serve();
  void serve(Link& link);

  Fd listener_;
  Endpoint endpoint_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Link>> links_;
  std::atomic<bool> stops_ = false;
  std::thread thread_;
};

}  // namespace remora
