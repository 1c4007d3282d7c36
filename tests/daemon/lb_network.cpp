// SPDX-License-Identifier: Apache-2.0
#include "tests/daemon/lb_network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace remora {
namespace {

constexpr int kPatienceMs = 60'000;       // for what hangs
constexpr std::uint16_t kFence = 0x88b5;  // IEEE Std 802: local experimental EtherType 1
constexpr std::size_t kIcmpType = 40;     // after an IPv6 header without extensions
constexpr std::size_t kNextHeader = 6;

int require(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

// Neighbour discovery, router solicitation and multicast listener reports (RFC 4861, RFC 3810);
// a hop-by-hop header precedes the reports.
bool is_small_talk(const std::vector<std::uint8_t>& packet) {
  if (packet.size() <= kIcmpType || packet[0] >> 4 != 6) return false;
  return packet[kNextHeader] == IPPROTO_HOPOPTS ||
         (packet[kNextHeader] == IPPROTO_ICMPV6 && packet[kIcmpType] >= 130 &&
          packet[kIcmpType] <= 143);
}

}  // namespace

LbNetwork::LbNetwork()
    : home_(require(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), "open the namespace")) {
  require(unshare(CLONE_NEWNET), "make a network namespace");
  run("ip link add gw address 02:00:00:00:00:01 type veth peer name lb address 02:00:00:00:00:02");
  run("ip address add 10.1.2.2/24 dev lb && ip address add fc00:2::2/64 dev lb nodad");
  // In this order `lb` already has a carrier and a queue when it comes up.
  run("ip link set lo up && ip link set gw up && ip link set lb up");
  frames_ = Fd(require(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)),
                       "open a packet socket"));
  sockaddr_ll gateway{};
  gateway.sll_family = AF_PACKET;
  gateway.sll_protocol = htons(ETH_P_ALL);
  gateway.sll_ifindex = static_cast<int>(if_nametoindex("gw"));
  require(bind(frames_.get(), reinterpret_cast<sockaddr*>(&gateway), sizeof(gateway)),
          "bind to gw");
}

LbNetwork::~LbNetwork() {
  // Everything that follows would run in the wrong namespace.
  if (setns(home_.get(), CLONE_NEWNET) != 0) std::abort();
}

void LbNetwork::run(const std::string& command) {
  if (std::system(command.c_str()) != 0) throw std::runtime_error("failed: " + command);
}

void LbNetwork::add_default_routes() {
  run("ip neighbour add 10.1.2.1 lladdr 02:00:00:00:00:01 dev lb");
  run("ip neighbour add fc00:2::1 lladdr 02:00:00:00:00:01 dev lb");
  run("ip route add default via 10.1.2.1 && ip route add default via fc00:2::1");
}

void LbNetwork::send_fence(std::uint32_t number) const {
  sockaddr_ll lb{};
  lb.sll_family = AF_PACKET;
  lb.sll_ifindex = static_cast<int>(lb_index());
  struct {
    ethhdr ethernet;
    std::uint32_t number;
  } __attribute__((packed)) frame{};
  frame.ethernet.h_proto = htons(kFence);
  frame.number = number;
  require(static_cast<int>(sendto(frames_.get(), &frame, sizeof(frame), 0,
                                  reinterpret_cast<sockaddr*>(&lb), sizeof(lb))),
          "send a fence");
}

std::optional<std::vector<std::uint8_t>> LbNetwork::next_packet() {
  const std::uint32_t fence = ++last_fence_;
  send_fence(fence);
  pollfd readable{frames_.get(), POLLIN, 0};
  while (poll(&readable, 1, kPatienceMs) > 0) {
    std::vector<std::uint8_t> frame(65536);
    sockaddr_ll from{};
    socklen_t from_size = sizeof(from);
    const ssize_t size = recvfrom(frames_.get(), frame.data(), frame.size(), 0,
                                  reinterpret_cast<sockaddr*>(&from), &from_size);
    require(static_cast<int>(size), "read a frame");
    const int protocol = ntohs(from.sll_protocol);
    if (protocol == kFence && from.sll_pkttype != PACKET_OUTGOING) {
      std::uint32_t number = 0;
      std::memcpy(&number, frame.data() + ETH_HLEN, sizeof(number));
      if (number == fence) return std::nullopt;
    }
    if (from.sll_pkttype == PACKET_OUTGOING || (protocol != ETH_P_IP && protocol != ETH_P_IPV6)) {
      continue;
    }
    std::vector<std::uint8_t> packet(frame.begin() + ETH_HLEN, frame.begin() + size);
    if (!is_small_talk(packet)) return packet;
  }
  throw std::runtime_error("no frame gets from lb to gw");
}

unsigned LbNetwork::lb_index() const {
  return if_nametoindex("lb");
}

}  // namespace remora
