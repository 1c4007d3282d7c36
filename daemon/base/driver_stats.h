// SPDX-License-Identifier: Apache-2.0
//
// The counters of an interface's driver (ethtool -S) that concern XDP_TX: frames for the brokers
// that the driver has thrown away. Our own counters do not see these.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace remora {

// The driver's name, such as "veth". Throws std::system_error.
std::string driver_of(const std::string& interface);

// Whether a driver's counter of this name counts frames that XDP_TX could not send: veth's
// rx_queue_0_xdp_tx_errors, virtio_net's tx_queue_0_xdp_tx_drops, mlx5's rx_xdp_tx_err and
// rx_xdp_tx_full.
bool is_xdp_tx_error(std::string_view counter);

// These counters by name. Empty if the driver has none. Throws std::system_error.
std::map<std::string, std::uint64_t> xdp_tx_errors(const std::string& interface);

// Reads these counters repeatedly, and records when they grew. Used on the loop's thread.
class XdpTxWatch {
 public:
  // Earlier counts are not reported.
  explicit XdpTxWatch(unsigned interface_index);

  // Logs the first growth, and growth after a quiet minute.
  void look(std::uint64_t now_ns);

  const std::string& driver() const { return driver_; }  // empty: it could not be asked
  std::uint64_t errors() const { return errors_; }
  std::optional<std::uint64_t> grew_at_ns() const { return grew_at_ns_; }

 private:
  std::optional<std::uint64_t> count() const;

  unsigned index_;
  std::string driver_;
  std::uint64_t errors_ = 0;
  std::optional<std::uint64_t> grew_at_ns_;
};

}  // namespace remora
