// SPDX-License-Identifier: Apache-2.0
//
// Checks by a TCP handshake alone.
#pragma once

#include <map>
#include <memory>

#include "daemon/base/event_loop.h"
#include "daemon/health/prober.h"

namespace remora {

class TcpProber : public Prober {
 public:
  // Everything runs on the loop's thread; `loop` must outlive it.
  TcpProber(const EventLoop& loop, Handler on_result, HasLeft has_left);
  ~TcpProber() override;

  void start(std::uint64_t id, const Endpoint& to) override;
  void end(std::uint64_t id) override;
  bool has_left(std::uint64_t id) const override;

 private:
  struct Attempt;
  void finish(std::uint64_t id);

  const EventLoop& loop_;
  const Handler on_result_;
  const HasLeft has_left_;
  std::map<std::uint64_t, std::unique_ptr<Attempt>> attempts_;
};

}  // namespace remora
