// SPDX-License-Identifier: Apache-2.0
//
// Asks clients for an ACK, and repeats the question while there is no answer.
//
// The question or the answer may be lost. An answer shows only in the flow table, because the
// packet path ends the connection when it comes. On the loop's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>

#include "bpf/abi.h"
#include "daemon/kernel/maps.h"
#include "daemon/sessions/ender.h"
#include "daemon/steering/steering.h"

namespace remora {

class ClientQuestions {
 public:
  using OnSilence =
      std::function<void(const flow_key& key, const flow& entry, std::uint64_t now_ns)>;

  // Repeats questions to a client while its flow is in `state`. After `patience_ns` it stops and
  // calls `on_silence`, which may ask the client in another way. All references must outlive it.
  ClientQuestions(const Maps& maps, const Steering& steering, Ender& ender, flow_state state,
                  std::uint64_t patience_ns, OnSilence on_silence)
      : maps_(maps),
        steering_(steering),
        ender_(ender),
        state_(state),
        patience_ns_(patience_ns),
        on_silence_(std::move(on_silence)) {}

  // Asks a client for the first time. Does nothing for a service that is no longer configured.
  void ask(const flow_key& key, const flow& entry, std::uint64_t now_ns);

  // Called often.
  void step(std::uint64_t now_ns);

 private:
  struct Asked {
    flow_key key;
    std::uint32_t isn;
    std::uint32_t times;
    std::uint64_t began_ns;
    std::uint64_t at_ns;
  };

  void send(Asked asked, const flow& entry);

  const Maps& maps_;
  const Steering& steering_;
  Ender& ender_;
  const flow_state state_;
  const std::uint64_t patience_ns_;
  const OnSilence on_silence_;
  std::deque<Asked> asked_;  // the one asked longest ago first
};

}  // namespace remora
