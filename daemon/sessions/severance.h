// SPDX-License-Identifier: Apache-2.0
//
// Ends the connections of dead reals at once, so that their clients come back elsewhere.
//
// Goes through the flow table in batches, so much in each step that the loop is not held
// up. A client is asked for an ACK, which also a silent one sends; the packet path answers it
// with a RST. Connections that are being opened are forgotten: the client's next SYN goes
// by the ring as it is now.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <utility>

#include "daemon/kernel/maps.h"
#include "daemon/sessions/ender.h"
#include "daemon/steering/steering.h"

namespace remora {

class Severance {
 public:
  // All must outlive it.
  Severance(const Maps& maps, const Steering& steering, Ender& ender);

  // From the group, by number; the real by its index in `reals`.
  void start(std::uint16_t group, std::uint32_t real);
  // It lives again.
  void stop(std::uint16_t group, std::uint32_t real);

  // Called often.
  void step(std::uint64_t now_ns);

  // Connections that were ended.
  std::uint64_t severed() const { return severed_; }

 private:
  // How often the end of the table came since the start, in flows and in half_open.
  struct Passes {
    unsigned flows = 0;
    unsigned half_open = 0;
  };
  struct Asked {
    flow_key key;
    std::uint32_t isn;
    std::uint32_t times;
    std::uint64_t at_ns;
  };

  bool is_meant(const flow& entry) const;
  void read_flows();
  void read_half_open();
  void sever(const flow_key& key, std::uint64_t now_ns);
  void ask_again(std::uint64_t now_ns);

  const Maps& maps_;
  const Steering& steering_;
  Ender& ender_;
  std::map<std::pair<std::uint16_t, std::uint32_t>, Passes> dead_;
  FlowReader flows_;
  BatchReader<half_open_key, flow> half_open_;
  std::deque<flow_key> waiting_;
  std::deque<Asked> asked_;  // the longest asked first
  std::uint64_t severed_ = 0;
};

}  // namespace remora
