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

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <system_error>
#include <vector>

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

// The kernel removes the first tag before a packet socket sees the frame.
std::vector<VlanTag> tag_taken_off(msghdr& message) {
  for (const cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr;
       control = CMSG_NXTHDR(&message, const_cast<cmsghdr*>(control))) {
    if (control->cmsg_level != SOL_PACKET || control->cmsg_type != PACKET_AUXDATA) continue;
    tpacket_auxdata found{};
    std::memcpy(&found, CMSG_DATA(control), sizeof(found));
    if (found.tp_status & TP_STATUS_VLAN_VALID) return {{found.tp_vlan_tci, found.tp_vlan_tpid}};
  }
  return {};
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
  // Every frame on the cable is then sent by the programs or answers the test.
  run("sysctl -q -w net.ipv6.conf.all.disable_ipv6=1");
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
  gateway.sll_protocol = htobe16(ETH_P_ALL);
  gateway.sll_ifindex = index_of("gw", datagrams_);
  frames_ =
      require(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htobe16(ETH_P_ALL)), "packet socket");
  require(bind(frames_, reinterpret_cast<sockaddr*>(&gateway), sizeof(gateway)), "bind to gw");
  // The gateway's end came up without a carrier. The kernel sets up its queue some time later, and
  // loses frames that are sent before.
  const int bypass = 1;
  require(setsockopt(frames_, SOL_PACKET, PACKET_QDISC_BYPASS, &bypass, sizeof(bypass)),
          "send past the queue");
  const int tags = 1;
  require(setsockopt(frames_, SOL_PACKET, PACKET_AUXDATA, &tags, sizeof(tags)), "ask for tags");
}

PrivateNetwork::~PrivateNetwork() {
  for (const int fd : {frames_, datagrams_})
    if (fd >= 0) close(fd);
  if (home_ < 0) return;
  if (setns(home_, CLONE_NEWNET) != 0) std::abort();  // all that follows would run elsewhere
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
    iovec data{frame.data(), frame.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(tpacket_auxdata))> control{};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof(from);
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const auto size = recvmsg(frames_, &message, 0);
    require(static_cast<int>(size), "receive a frame");
    frame.resize(static_cast<std::size_t>(size));
    if (from.sll_pkttype == PACKET_OUTGOING) continue;  // our own
    Packet packet(with_tags(frame, tag_taken_off(message)));
    if (packet.type() == ETH_P_IP || packet.type() == ETH_P_IPV6) return packet;
  }
  return std::nullopt;
}

void PrivateNetwork::settle() {
  // There is one queue, in order: when this datagram has passed, so have all earlier frames.
  Bytes datagram{0, 7, 0, kFencePort, 0, 9, 0, 0, '.'};
  transmit(ipv4_frame({lb_address_ + 1, 0}, {lb_address_, 0}, IPPROTO_UDP, datagram));
  pollfd readable{datagrams_, POLLIN, 0};
  if (poll(&readable, 1, 5000) != 1) throw std::runtime_error("other traffic does not get through");
  char byte;
  require(static_cast<int>(recv(datagrams_, &byte, 1, 0)), "receive a datagram");
}

}  // namespace remora
