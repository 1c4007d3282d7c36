// SPDX-License-Identifier: Apache-2.0
#include "daemon/forwarders/forwarder_slot.h"

#include <bpf/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "bpf/parse.h"

namespace remora {
namespace {

// Longer than any packet with its outer header, including jumbo frames.
constexpr std::size_t kLongestFrame = 16'384;
constexpr std::uint16_t kProbes = 4;
constexpr std::size_t kTypeOffset = 2 * ETH_ALEN;

// A documentation address (RFC 5737, RFC 3849), which no client has.
Address nobody(const Address& vip) {
  return *Address::parse(vip.is_ipv4() ? "192.0.2.1" : "2001:db8::1");
}

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

ForwarderSlot::ForwarderSlot(int ask, unsigned interface_index)
    : ask_(ask), socket_(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  if (!socket_) fail("cannot open a packet socket (run as root or with CAP_NET_RAW)");
  sockaddr_ll name{};
  name.sll_family = AF_PACKET;
  name.sll_ifindex = static_cast<int>(interface_index);
  socklen_t size = sizeof(name);
  if (bind(socket_.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) != 0 ||
      getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&name), &size) != 0) {
    fail("cannot send packets on the interface");
  }
  std::array<std::uint8_t, ETH_ALEN> mac{};
  std::copy_n(name.sll_addr, mac.size(), mac.begin());
  own_mac_ = MacAddress(mac);
}

// A forwarder takes its own Ethernet address from the frame's destination.
std::optional<ForwarderSlot::Outcome> ForwarderSlot::run(const Bytes& packet) const {
  Bytes frame(ETH_HLEN);
  std::ranges::copy(own_mac_.bytes(), frame.begin());
  const bool is_ipv4 = packet.at(0) >> 4 == 4;
  const __be16 type = host_to_net16(is_ipv4 ? ETH_P_IP : ETH_P_IPV6);
  std::memcpy(frame.data() + kTypeOffset, &type, sizeof(type));
  frame.insert(frame.end(), packet.begin(), packet.end());

  Outcome outcome{XDP_ABORTED, Bytes(kLongestFrame)};
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = frame.data();
  options.data_size_in = static_cast<__u32>(frame.size());
  options.data_out = outcome.frame.data();
  options.data_size_out = static_cast<__u32>(outcome.frame.size());
  options.repeat = 1;
  if (bpf_prog_test_run_opts(ask_, &options) != 0) return std::nullopt;
  outcome.verdict = options.retval;
  outcome.frame.resize(options.data_size_out);
  return outcome;
}

ForwarderSlot::Answer ForwarderSlot::ask(const Address& vip, __be16 port) const {
  Answer answer{VipState::kForwards, false};
  for (std::uint16_t probe = 0; probe < kProbes; ++probe) {
    const __be16 from = host_to_net16(static_cast<__u16>(40'000 + probe));
    const auto out = run(reset_of({nobody(vip), from}, {vip, port}));
    if (!out) fail("cannot run what is in the forwarder's slot");
    if (out->verdict == XDP_ABORTED) return {VipState::kEmptySlot, false};
    if (out->verdict == XDP_PASS) return {VipState::kUnknown, false};
    if (out->verdict != XDP_TX) return {VipState::kNoReal, false};
    __be16 type = 0;
    std::memcpy(&type, out->frame.data() + kTypeOffset, sizeof(type));
    answer.over_ipv6 |= type == host_to_net16(ETH_P_IPV6);
  }
  return answer;
}

bool ForwarderSlot::send(const Bytes& packet) const {
  const auto out = run(packet);
  errno = out && out->verdict != XDP_TX ? ENETUNREACH : errno;
  return out && out->verdict == XDP_TX &&
         ::send(socket_.get(), out->frame.data(), out->frame.size(), 0) >= 0;
}

}  // namespace remora
