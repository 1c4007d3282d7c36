// SPDX-License-Identifier: Apache-2.0
//
// How the kernel's texts are read, and what this kernel answers over netlink.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>

#include "cli/doctor/common_checks.h"
#include "cli/doctor/host.h"
#include "daemon/base/fd.h"

namespace remora::doctor {
namespace {

TEST(DoctorHostTest, ReleasesBeginWithTheVersion) {
  EXPECT_EQ(parse_kernel_release("6.1.0-23-amd64"), (KernelVersion{6, 1}));
  EXPECT_EQ(parse_kernel_release("5.18"), (KernelVersion{5, 18}));
  EXPECT_EQ(parse_kernel_release("custom"), KernelVersion{});
  EXPECT_EQ(parse_kernel_release(""), KernelVersion{});
  EXPECT_LT((KernelVersion{5, 18}), (KernelVersion{6, 1}));
}

TEST(DoctorHostTest, CountersStandInPairsOfLines) {
  const auto counters = parse_network_counters(
      "Ip: Forwarding ReasmReqds\nIp: 1 7\nTcp: MaxConn InSegs\nTcp: -1 9\n"
      "Odd: A B\nOther: 1 2\n");

  EXPECT_EQ(counters, (std::map<std::string, std::uint64_t>{
                          {"Ip.Forwarding", 1}, {"Ip.ReasmReqds", 7}, {"Tcp.InSegs", 9}}));
}

TEST(DoctorHostTest, SysctlsKeepTheirSlashesWhereAnInterfaceHasADot) {
  EXPECT_EQ(sysctl_name("net/ipv4/conf/eth0/rp_filter"), "net.ipv4.conf.eth0.rp_filter");
  EXPECT_EQ(sysctl_name("net/ipv4/conf/eth0.100/rp_filter"), "net/ipv4/conf/eth0.100/rp_filter");
}

TEST(DoctorHostTest, TheLoopbackIsSeenAsItIs) {
  const Host host = look_at_host();
  ASSERT_TRUE(host.interfaces) << host.interfaces.why_not;

  const auto lo = std::ranges::find(*host.interfaces, "lo", &Interface::name);
  ASSERT_NE(lo, host.interfaces->end());
  EXPECT_TRUE(lo->is_loopback);
  EXPECT_FALSE(lo->answers_arp);
  EXPECT_TRUE(host.sysctls.contains("net/ipv4/conf/lo/rp_filter"));
  EXPECT_GE(host.kernel, (KernelVersion{5, 0}));
}

TEST(DoctorHostTest, ASocketThatListensIsSeen) {
  const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(socket.get(), reinterpret_cast<sockaddr*>(&here), sizeof(here)), 0);
  ASSERT_EQ(listen(socket.get(), 1), 0);
  socklen_t size = sizeof(here);
  ASSERT_EQ(getsockname(socket.get(), reinterpret_cast<sockaddr*>(&here), &size), 0);

  const auto all = read_listeners();

  const auto found = std::ranges::find(all, ntohs(here.sin_port), &Listener::port);
  ASSERT_NE(found, all.end());
  EXPECT_EQ(found->address, Address::parse("127.0.0.1"));
}

TEST(DoctorHostTest, SocketsForIpv6AloneAreToldFromOthers) {
  for (const int only_ipv6 : {0, 1}) {
    const Fd socket(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket) GTEST_SKIP() << "no IPv6 here";
    setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only_ipv6, sizeof(only_ipv6));
    sockaddr_in6 here{};
    here.sin6_family = AF_INET6;
    ASSERT_EQ(bind(socket.get(), reinterpret_cast<sockaddr*>(&here), sizeof(here)), 0);
    ASSERT_EQ(listen(socket.get(), 1), 0);
    socklen_t size = sizeof(here);
    ASSERT_EQ(getsockname(socket.get(), reinterpret_cast<sockaddr*>(&here), &size), 0);

    const auto all = read_listeners();

    const auto found = std::ranges::find(all, ntohs(here.sin6_port), &Listener::port);
    ASSERT_NE(found, all.end());
    if (!found->takes_ipv4) GTEST_SKIP() << "this kernel has no tcp_diag";
    EXPECT_EQ(*found->takes_ipv4, only_ipv6 == 0);
  }
}

TEST(DoctorHostTest, TheWayToOneselfIsLocal) {
  const RouteAnswer route = route_to(*Address::parse("127.0.0.1"), std::nullopt);

  EXPECT_EQ(route.refused, 0);
  EXPECT_TRUE(route.is_local);
}

}  // namespace
}  // namespace remora::doctor
