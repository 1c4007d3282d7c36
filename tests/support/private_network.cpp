// SPDX-License-Identifier: Apache-2.0
#include "tests/support/private_network.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <system_error>

namespace remora {
namespace {

constexpr std::uint16_t kFencePort = 9;

int require(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

int index_of(const char* device, int any_socket) {
  ifreq request{};
  std::strncpy(request.ifr_name, device, sizeof(request.ifr_name) - 1);
  require(ioctl(any_socket, SIOCGIFINDEX, &request), "find a device");
  return request.ifr_ifindex;
}

void run(const std::string& command) {
  if (std::system(command.c_str()) != 0) throw std::runtime_error("failed: " + command);
}

}  // namespace

PrivateNetwork::PrivateNetwork(std::uint32_t lb_address) : lb_address_(lb_address) {
  home_ = require(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), "open the namespace");
  require(unshare(CLONE_NEWNET), "make a network namespace");
  std::string dotted;
  for (int shift = 24; shift >= 0; shift -= 8)
    dotted += (dotted.empty() ? "" : ".") + std::to_string(lb_address >> shift & 0xff);
  run("ip link add gw address 02:00:00:00:00:01 type veth"
      " peer name lb address 02:00:00:00:00:02");
  run("ip address add " + dotted + "/24 dev lb");
  run("ip link set gw up && ip link set lb up");

  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = htobe16(kFencePort);
  datagrams_ = require(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "datagram socket");
  require(bind(datagrams_, reinterpret_cast<sockaddr*>(&any), sizeof(any)), "bind a port");
  lb_index_ = index_of("lb", datagrams_);

  sockaddr_ll gateway{};
  gateway.sll_family = AF_PACKET;
  gateway.sll_protocol = htobe16(ETH_P_IP);
  gateway.sll_ifindex = index_of("gw", datagrams_);
  frames_ = require(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htobe16(ETH_P_IP)), "packet socket");
  require(bind(frames_, reinterpret_cast<sockaddr*>(&gateway), sizeof(gateway)), "bind to gw");
  // The gateway's end came up without a carrier: its queue is put in place some time
  // later, and until then swallows frames.
  const int bypass = 1;
  require(setsockopt(frames_, SOL_PACKET, PACKET_QDISC_BYPASS, &bypass, sizeof(bypass)),
          "send past the queue");
}

PrivateNetwork::~PrivateNetwork() {
  for (const int fd : {frames_, datagrams_})
    if (fd >= 0) close(fd);
  if (home_ < 0) return;
  if (setns(home_, CLONE_NEWNET) != 0) std::abort();  // everything behind would be elsewhere
  close(home_);
}

void PrivateNetwork::attach_xdp(int program_fd) {
  require(bpf_xdp_attach(lb_index_, program_fd, XDP_FLAGS_DRV_MODE, nullptr), "attach XDP");
}

void PrivateNetwork::attach_tc(int program_fd) {
  DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook);
  hook.ifindex = lb_index_;
  hook.attach_point = BPF_TC_INGRESS;
  DECLARE_LIBBPF_OPTS(bpf_tc_opts, options);
  options.prog_fd = program_fd;
  require(bpf_tc_hook_create(&hook), "make clsact");
  require(bpf_tc_attach(&hook, &options), "attach to TC");
}

void PrivateNetwork::transmit(const Bytes& frame) {
  require(static_cast<int>(::send(frames_, frame.data(), frame.size(), 0)), "transmit a frame");
}

std::optional<Packet> PrivateNetwork::receive(std::chrono::milliseconds wait) {
  pollfd readable{frames_, POLLIN, 0};
  while (poll(&readable, 1, static_cast<int>(wait.count())) > 0) {
    Bytes frame(4096);
    sockaddr_ll from{};
    socklen_t from_size = sizeof(from);
    const auto size = recvfrom(frames_, frame.data(), frame.size(), 0,
                               reinterpret_cast<sockaddr*>(&from), &from_size);
    require(static_cast<int>(size), "receive a frame");
    if (from.sll_pkttype == PACKET_OUTGOING) continue;  // our own
    frame.resize(static_cast<std::size_t>(size));
    return Packet(std::move(frame));
  }
  return std::nullopt;
}

void PrivateNetwork::settle() {
  // One queue, in order: when this datagram is through, so is what went before it.
  Bytes datagram{0, 7, 0, kFencePort, 0, 9, 0, 0, '.'};
  transmit(ipv4_frame({lb_address_ + 1, 0}, {lb_address_, 0}, IPPROTO_UDP, datagram));
  pollfd readable{datagrams_, POLLIN, 0};
  if (poll(&readable, 1, 5000) != 1) throw std::runtime_error("other traffic does not get through");
  char byte;
  require(static_cast<int>(recv(datagrams_, &byte, 1, 0)), "receive a datagram");
}

}  // namespace remora
