// SPDX-License-Identifier: Apache-2.0
//
// A fake broker behind a socket of the loopback device, with a thread of its own.
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
// Connected, and blocking.
Fd connect_to(const Endpoint& endpoint);

class LoopbackBroker {
 public:
  LoopbackBroker();
  ~LoopbackBroker();

  Endpoint endpoint() const { return endpoint_; }

  // ---- how it behaves
  std::atomic<bool> reads = true;
  // Closes each connection with its n-th message, which it does not answer; 0: none.
  std::atomic<std::size_t> dies_at = 0;

  // ---- what it has got, of all connections
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
