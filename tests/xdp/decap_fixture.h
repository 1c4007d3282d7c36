// SPDX-License-Identifier: Apache-2.0
//
// The decap program of a broker that serves kService and kService6, and the chain that sends it
// packets.
#pragma once

#include <memory>
#include <numeric>
#include <vector>

#include "bpf/decap.h"
#include "decap.skel.h"
#include "tests/xdp/steer_fixture.h"

namespace remora {

// The VIPs of a group behind Katran.
inline constexpr Peer kVip{ipv4("10.1.50.201"), 1883};
inline constexpr Peer kVip6{ipv6("2001:db8:50::201"), 1883};

// The frame in an outer header of the real's family, after the same link header.
inline Bytes wrapped(const Bytes& frame, std::size_t link, bool in_ipv6,
                     const IpAddress& from4 = ipv4("172.16.1.7"),
                     const IpAddress& from6 = ipv6("100::1")) {
  const bool is_ipv6 = frame[link] >> 4 == 6;
  const Bytes inner(frame.begin() + static_cast<std::ptrdiff_t>(link), frame.end());
  const std::uint8_t protocol = is_ipv6 ? IPPROTO_IPV6 : IPPROTO_IPIP;
  const Bytes outer = in_ipv6 ? ipv6_frame({from6, 0}, {ipv6("fd00:2::1"), 0}, protocol, inner)
                              : ipv4_frame({from4, 0}, {ipv4("10.2.0.1"), 0}, protocol, inner);
  Bytes tagged(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(link) - 2);
  tagged.insert(tagged.end(), outer.begin() + ETH_HLEN - 2, outer.end());
  return tagged;
}

class DecapTest : public SteerTest {
 protected:
  void SetUp() override {
    SteerTest::SetUp();
    if (IsSkipped()) return;
    load();
  }

  // Loads the program again. Fenced, it accepts only outer sources in networks added with from().
  void load(bool is_fenced = false) {
    decap_.reset(remora_decap__open());
    ASSERT_TRUE(decap_);
    decap_->rodata->sources_are_fenced = is_fenced ? 1 : 0;
    ASSERT_EQ(remora_decap__load(decap_.get()), 0);
    serve(kService);
    serve(kService6);
  }

  RunResult decap(const Bytes& frame) {
    return run_xdp(bpf_program__fd(decap_->progs.xdp_decap), frame);
  }

  void serve(Peer service) { services().put(key(service), 1); }
  // Maps packets for `vip` to `service`; port 0: any.
  void vip(const IpAddress& vip, std::uint16_t port, const IpAddress& service) {
    vips().put(key({vip, port}), abi_address(service));
  }
  void forget(const IpAddress& vip, Peer service) {
    vips().remove(key({vip, 0}));
    services().remove(key(service));
  }
  // Adds a network of load balancers. `bits`: at most 32 for IPv4.
  void from(const IpAddress& first, std::uint32_t bits) {
    const decap_network network{first.is_ipv6() ? bits : bits + 96, abi_address(first)};
    MapView<decap_network, __u32>(bpf_map__fd(decap_->maps.decap_sources)).put(network, 1);
  }

  std::uint64_t refused(decap_count reason) const {
    std::vector<__u64> per_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
    const __u32 number = reason;
    EXPECT_EQ(bpf_map_lookup_elem(bpf_map__fd(decap_->maps.decap_counts), &number, per_cpu.data()),
              0);
    return std::accumulate(per_cpu.begin(), per_cpu.end(), std::uint64_t{0});
  }

 private:
  static service_key key(Peer at) { return {abi_address(at.address), htobe16(at.port), 0}; }
  MapView<service_key, address> vips() const {
    return MapView<service_key, address>(bpf_map__fd(decap_->maps.vips));
  }
  MapView<service_key, __u32> services() const {
    return MapView<service_key, __u32>(bpf_map__fd(decap_->maps.decap_services));
  }

  struct Destroy {
    void operator()(remora_decap* skeleton) const { remora_decap__destroy(skeleton); }
  };
  std::unique_ptr<remora_decap, Destroy> decap_;
};

}  // namespace remora
