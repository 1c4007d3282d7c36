// SPDX-License-Identifier: Apache-2.0
//
// The same packets through the whole chain and through upstream's Katran, whose object
// REMORA_KATRAN_OBJ names. The verdict, the real, and the outer packet must be the same, byte for
// byte. REMORA_SEED and REMORA_ROUNDS: tests/support/seeds.h.
//
// Katran's inner packet has the VIP of the group, ours the service address; each must be the
// packet that the balancer got. Where the two differ by design, both behaviours are asserted:
// here for connections, in strays.cpp for all other packets. docs/katran.md has the list.
#include <gtest/gtest.h>
#include <sched.h>

#include <chrono>
#include <map>
#include <set>
#include <tuple>

#include "bpf/flow_hash.h"
#include "tests/support/client.h"
#include "tests/support/mqtt_packets.h"
#include "tests/support/seeds.h"
#include "tests/xdp/strays.h"
#include "tests/xdp/two_balancers.h"

namespace remora {
namespace {

// Twenty rounds send a million packets. A round has some 5000 new connections: from 125 000 per
// second on, Katran no longer remembers them.
constexpr std::uint32_t kRounds = 20, kPacketsOfARound = 50'000;
constexpr std::size_t kConnections = 800;    // at once
constexpr std::size_t kLongestFrame = 1514;  // the longest that Katran accepts

constexpr BalancedService kServices[] = {
    {{ipv4("10.1.50.200"), 1883}, 5, 0},
    {{ipv4("10.1.50.201"), 8883}, 6, 1},
    {{ipv6("2001:db8:50::200"), 1883}, 7, 4},
};
// Groups up to this one have reals of both families, or of IPv4; the others also serve IPv6.
constexpr std::uint16_t kIpv6Groups = 3;

struct Connection {
  const BalancedService* service;
  std::uint16_t group;
  Client client;
  std::uint32_t ours, katrans;  // reals; 0: none is remembered, so the ring decides
  enum : std::uint8_t {
    kOpened,       // its SYN was sent
    kEstablished,  // its CONNECT was sent, too
    kUnopened,     // no balancer saw a SYN: the connection was opened elsewhere
    kCondemned,
  } state;
  Segment last;
  bool is_judged = true;  // ours still judges its stream
  // Ours knows that it has ended, or may think so: a SYN with the same number opens another one.
  bool is_over = false, may_be_over = false;
  std::chrono::steady_clock::time_point spoke_at{};  // first segment after its SYN; epoch: none yet
  bool has_gap = false;                              // a number is missing and will never come
  unsigned after_gap = 0;                            // segments sent since then
};

// From three seconds after the first segment beyond the SYN on, ours takes a SYN for a new
// connection.
constexpr std::chrono::seconds kCopiesComeWithin{2};

class DifferentialTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!may_load_bpf()) GTEST_SKIP() << "loads BPF programs: needs root";
    if (katran_object_path() == nullptr)
      GTEST_SKIP() << "set REMORA_KATRAN_OBJ to a balancer.bpf.o of upstream's Katran";
    stay_on_this_cpu();
    both_ = std::make_unique<TwoBalancers>(katran_object_path());
  }

  // Katran's connection tables are per CPU.
  static void stay_on_this_cpu() {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(sched_getcpu()), &set);
    ASSERT_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
  }

  // ---- configuration ----

  void begin_round(std::uint32_t seed) {
    random_ = Chance(seed);
    both_->begin_anew();
    connections_.clear();
    used_.clear();
    seen_clients_.clear();
    lru_.clear();
    for (const BalancedService& service : kServices) both_->service(service);
    for (std::uint16_t number = 0; number < TwoBalancers::kGroups; number++) {
      both_->group(number, one_in(2) ? AFFINITY_CLIENT : AFFINITY_CONNECTION);
      make_reals(number);
      put_weights(number);
    }
  }

  void make_reals(std::uint16_t group) {
    std::vector<RingReal>& reals = reals_[group];
    reals.assign(1 + below(8), {});
    for (RingReal& real : reals) {
      real.index = group * 16u + 1 + static_cast<std::uint32_t>(&real - reals.data());
      const bool is_ipv6 = group >= kIpv6Groups || below(3) == 0;
      const IpAddress address =
          (is_ipv6 ? ipv6("fd00:2::") : ipv4("10.2.0.0")) + (any() % 4096 * 128 + real.index);
      real.address = Address(abi_address(address));
      addresses_[real.index] = address;
    }
  }

  void put_weights(std::uint16_t group) {
    const bool drain_all = below(20) == 0;
    for (RingReal& real : reals_[group])
      real.weight = drain_all || below(6) == 0 ? 0 : 1 + below(10);
    both_->reals(group, reals_[group], below(2) ? RingVariant::kMaglev : RingVariant::kMaglevV2);
  }

  // ---- packets ----

  std::uint32_t any() { return random_(); }
  std::uint32_t below(std::uint32_t end) { return any() % end; }
  bool one_in(std::uint32_t n) { return below(n) == 0; }

  // Sends one packet of a connection through both, and checks what they do with it.
  void expect(const Segment& segment, const Connection& at, Fate ours, Fate katrans) {
    const auto tos = static_cast<std::uint8_t>(one_in(2) ? 0 : any());
    const Bytes frame =
        with_tos_and_ttl(segment.frame(), tos, static_cast<std::uint8_t>(1 + below(255)));
    compare(frame, with_destination(frame, vip_of(at)), ours, katrans);
    if (HasFatalFailure()) return;
    if (ours == Fate::kForwarded) {
      ASSERT_EQ(Packet(ours_.frame).destination(), addresses_[at.ours]) << "our real";
    }
    if (katrans == Fate::kForwarded) {
      ASSERT_EQ(Packet(katrans_.frame).destination(), addresses_[at.katrans]) << "Katran's real";
    }
    if (at.ours != at.katrans) apart_++;
  }

  static Fate fate_by(std::uint32_t real) { return real ? Fate::kForwarded : Fate::kDropped; }

  void expect_by_reals(const Segment& segment, const Connection& at) {
    expect(segment, at, fate_by(at.ours), fate_by(at.katrans));
  }

  // ---- what Katran remembers of a client ----

  // Difference by design 6: with the flag "no source port" Katran remembers one real for all
  // connections of a client, the last one that the ring gave. Ours remembers each connection.
  bool is_shared(const Connection& at) const {
    return both_->affinity_of(at.group) == AFFINITY_CLIENT;
  }

  std::uint32_t& shared_real(const Connection& at) {
    return lru_[{at.client.self().address, at.group, at.service->at.port}];
  }

  // Katran consults the ring for a SYN, and for any packet of a client that it does not know.
  void ask_katrans_ring(Connection& at) {
    if (const std::uint32_t real = by_ring(at)) at.katrans = real;
    if (is_shared(at) && at.katrans != 0) shared_real(at) = at.katrans;
  }

  // Katran uses the real of a connection that it knows.
  void recall(Connection& at) {
    if (is_shared(at) && shared_real(at) != 0) at.katrans = shared_real(at);
  }

  static IpAddress vip_of(const Connection& at) {
    return TwoBalancers::vip(at.group, at.service->at.address);
  }

  void compare(const Bytes& to_ours, const Bytes& to_katran, Fate ours, Fate katrans) {
    packets_++;
    ours_ = both_->run_ours(to_ours);
    katrans_ = both_->run_katran(to_katran);
    const Fate our_fate = fate_of(ours_, to_ours), katrans_fate = fate_of(katrans_, to_katran);
    ASSERT_EQ(our_fate, ours) << "ours; Katran: " << katrans_fate;
    ASSERT_EQ(katrans_fate, katrans) << "Katran; ours: " << our_fate;
    if (ours != Fate::kForwarded || katrans != Fate::kForwarded) return;
    expect_inside(katrans_.frame, to_katran);
    if (is_made_plain(to_ours) ||
        Packet(ours_.frame).destination() != Packet(katrans_.frame).destination())
      return;
    expect_inside(ours_.frame, to_ours);
    const auto outer = [&](const RunResult& out) {
      const std::size_t inner_size = to_ours.size() - ETH_HLEN;
      return Bytes(out.frame.begin(), out.frame.end() - static_cast<std::ptrdiff_t>(inner_size));
    };
    ASSERT_EQ(outer(ours_), outer(katrans_)) << "the outer packet";
  }

  // Whether ours removes the data or an option of this SYN.
  static bool is_made_plain(const Bytes& frame) {
    const Packet packet(frame);
    return packet.tcp().syn && (packet.tcp().doff > 5 || !packet.payload().empty());
  }

  static void expect_inside(const Bytes& out, const Bytes& sent) {
    ASSERT_GT(out.size(), sent.size());
    ASSERT_TRUE(std::equal(sent.begin() + ETH_HLEN, sent.end(),
                           out.end() - static_cast<std::ptrdiff_t>(sent.size() - ETH_HLEN)))
        << "the inner packet is not what was sent";
  }

  // ---- connections ----

  const BalancedService& any_service() { return kServices[below(std::size(kServices))]; }

  std::uint16_t any_group(const BalancedService& service) {
    const std::uint16_t first = service.at.address.is_ipv6() ? kIpv6Groups : 0;
    return static_cast<std::uint16_t>(first + below(TwoBalancers::kGroups - first));
  }

  // A client at one of few addresses, as behind NAT, or at an address that was never seen.
  Peer new_client(const BalancedService& service) {
    const bool is_ipv6 = service.at.address.is_ipv6();
    for (;;) {
      const IpAddress network = is_ipv6 ? ipv6("2001:db8:1::") : ipv4("10.64.0.0");
      const std::uint32_t host = one_in(4) ? below(64) : 64 + below(1 << 22);
      const Peer client{network + host, static_cast<std::uint16_t>(1 + below(65'535))};
      if (used_.insert({client.address, client.port}).second) return client;
    }
  }

  // The group of the client's next connection.
  std::uint16_t predicted(const Peer& client, const BalancedService& service) {
    // A client that was seen before has a prediction.
    if (seen_clients_.insert(client.address).second && one_in(4)) return service.default_group;
    const std::uint16_t group = any_group(service);
    both_->predict(client, service, group);
    return group;
  }

  std::uint32_t by_ring(const Connection& at) {
    return both_->by_ring(at.group, at.client.self(), at.service->at.port);
  }

  void open_connection(const BalancedService& service, const Peer& from, std::uint32_t isn) {
    const Client client(from, service.at, isn);
    Connection fresh{&service, predicted(from, service), client,       0,
                     0,        Connection::kOpened,      client.syn(), true};
    fresh.ours = by_ring(fresh);
    ask_katrans_ring(fresh);
    if (ours_tracks(client)) ask(fresh);
    expect_by_reals(client.syn(), fresh);
    // Without a real, Katran remembers nothing; ours remembers the connection.
    if (fresh.ours != 0) connections_.push_back(fresh);
  }

  // Whether ours has a connection of this port that lives.
  bool ours_tracks(const Client& client) const {
    const flow_key key{abi_address(client.self().address), htobe16(client.self().port),
                       number_of(client.service())};
    const std::optional<flow> known = both_->chain().flows().find(key);
    return known && known->state == FLOW_ESTABLISHED;
  }

  static std::uint16_t number_of(const Peer& service) {
    for (const BalancedService& one : kServices)
      if (one.at.address == service.address) return one.number;
    throw std::logic_error("no such service");
  }

  // Difference by design 8: ours asks whether the client has sent the SYN. Some answer.
  void ask(Connection& at) {
    expect(at.client.syn(), at, Fate::kAnswered, fate_by(at.katrans));
    const std::uint32_t number = be32toh(Packet(ours_.frame).tcp().ack_seq);
    // Without a real, Katran may remember the old connection.
    if (at.katrans != 0 && one_in(2))
      expect(at.client.rst().seq(number), at, Fate::kDropped, Fate::kForwarded);
  }

  // A segment from the middle of a connection that neither balancer has seen open.
  void take_over_connection() {
    const BalancedService& service = any_service();
    const Client client(random_.stranger(service.at.address), service.at, any());
    Connection fresh{&service, service.default_group, client,       0,
                     0,        Connection::kUnopened, client.ack(), true};
    fresh.ours = fresh.katrans = by_ring(fresh);
    expect_by_reals(client.ack(), fresh);
    if (fresh.ours != 0) connections_.push_back(fresh);
  }

  // Difference by design 1: a repeated SYN after the ring has changed. Ours keeps its real; Katran
  // consults the ring and remembers the result.
  void repeat_syn(Connection& at) {
    Connection as_now = at;
    as_now.katrans = by_ring(at);
    expect_by_reals(at.client.syn(), as_now);
    ask_katrans_ring(at);
  }

  static bool may_repeat_syn(const Connection& at) {
    return !at.may_be_over && (at.spoke_at == std::chrono::steady_clock::time_point() ||
                               std::chrono::steady_clock::now() - at.spoke_at < kCopiesComeWithin);
  }

  // Its next segment is a FIN or RST, which lies at the edge as long as everything was judged.
  static void end(Connection& at) {
    at.is_over = at.is_judged;
    at.may_be_over = true;
    at.is_judged = false;
  }

  // Difference by design 2: a connection that no balancer saw open. Ours consults the ring for each
  // packet; Katran remembers the first result.
  void advance_unopened(Connection& at) {
    at.ours = by_ring(at);
    expect_by_reals(one_in(2) ? at.client.ack() : at.client.send(Bytes(1 + below(200), 0)), at);
  }

  // Difference by design 3: ours answers a packet that does not fit into the link with the outer
  // header. Katran sends it, or drops it above its limit.
  void send_long(Connection& at) {
    const std::size_t headers = at.service->at.address.is_ipv6() ? 60 : 40;
    const std::size_t ip_length = 1440 + below(120);
    const std::size_t outer = addresses_[at.ours].is_ipv6() ? 40 : 20;
    const Segment segment = at.client.at(at.client.sent(), Bytes(ip_length - headers, 0));
    at.is_judged = false;
    expect(segment, at, ip_length + outer > kBalancedMtu ? Fate::kAnswered : Fate::kForwarded,
           ip_length + ETH_HLEN > kLongestFrame ? Fate::kDropped : Fate::kForwarded);
  }

  // Difference by design 4: ours sends a PUBLISH of another group's topic to the probe, and the
  // connection ends. Katran knows no topics.
  void publish_mispredicted(Connection& at) {
    recall(at);
    std::uint16_t other = at.group;
    while (other == at.group) other = any_group(*at.service);
    expect(at.client.send(publish_packet(TwoBalancers::topic(other))), at, Fate::kMarked,
           Fate::kForwarded);
    at.state = Connection::kCondemned;
  }

  void advance(Connection& at) {
    recall(at);
    const auto say = [&](const Segment& segment) {
      at.last = segment;
      expect_by_reals(segment, at);
    };
    switch (at.state) {
      case Connection::kUnopened:
        return advance_unopened(at);
      case Connection::kCondemned:
        return expect(at.client.ack(), at, Fate::kAnswered, Fate::kForwarded);
      case Connection::kOpened:
        if (one_in(4) && may_repeat_syn(at)) return repeat_syn(at);
        if (at.spoke_at == std::chrono::steady_clock::time_point())
          at.spoke_at = std::chrono::steady_clock::now();
        if (one_in(2)) return say(at.client.ack());
        at.state = Connection::kEstablished;
        return say(at.client.send(connect_packet()));
      case Connection::kEstablished:
        break;
    }
    // Difference by design 7: after a gap ours keeps a few segments, and drops the others and those
    // that overlap in part.
    if (at.has_gap && ++at.after_gap >= MAX_EARLY) return say(at.client.ack());
    switch (below(14)) {
      case 0:
        end(at);
        at.has_gap = true;  // what it sends from here on leaves out the number of the FIN
        return say(at.client.fin());
      case 1:
        end(at);
        return say(at.client.rst());
      case 2:
        return may_repeat_syn(at) ? repeat_syn(at) : say(at.client.ack());
      case 3:
        return expect_by_reals(at.last, at);  // retransmitted
      case 4:
        return say(at.client.at(at.client.sent(), {}).options(Bytes(4 * below(11), 1)));
      case 5:
        return at.has_gap ? say(at.client.ack()) : send_long(at);
      case 6:
        return say(at.client.send(pingreq_packet()).padded_to(60));
      case 7:
        at.is_judged = false;
        if (const std::uint32_t lost = below(3); lost > 0) {
          at.client.skip(lost);
          at.has_gap = true;
        }
        return say(at.client.ack());
      case 8:
        return say(at.client.ack().claiming_data_offset(static_cast<std::uint8_t>(below(16))));
      case 9:
      case 10:
        return say(at.client.ack());
      default:
        return say(at.client.send(publish_packet(TwoBalancers::topic(at.group))));
    }
  }

  // A packet with any flags, the only one of its connection.
  void send_lone_packet() {
    const BalancedService& service = any_service();
    Connection lone{&service,
                    service.default_group,
                    Client(random_.stranger(service.at.address), service.at, any()),
                    0,
                    0,
                    Connection::kUnopened,
                    ack(),
                    true};
    lone.ours = lone.katrans = by_ring(lone);
    expect_by_reals(lone.client.ack().flags(below(64)), lone);
  }

  void send_stray() {
    const std::span<const StrayKind> kinds = stray_kinds();
    const StrayKind& kind = kinds[below(static_cast<std::uint32_t>(kinds.size()))];
    SCOPED_TRACE(kind.what);
    const BalancedService& service = any_service();
    const Stray stray = kind.make(random_, service);
    if (stray.frame.empty()) return;
    const IpAddress vip = TwoBalancers::vip(service.default_group, service.at.address);
    const auto all_drained = [&] {
      for (const RingReal& real : reals_[service.default_group])
        if (real.weight != 0) return false;
      return true;
    };
    // Without a real a packet cannot be forwarded.
    const auto fate = [&](Fate usual) {
      return usual == Fate::kForwarded && all_drained() ? Fate::kDropped : usual;
    };
    compare(stray.frame, stray.has_vip ? with_destination(stray.frame, vip) : stray.frame,
            fate(kind.ours), fate(kind.katran));
    seen_.insert(kind.what);
  }

  void step() {
    if (one_in(2500)) return put_weights(static_cast<std::uint16_t>(below(TwoBalancers::kGroups)));
    const std::uint32_t dice = below(1000);
    if (dice < 100 || connections_.empty()) {
      const BalancedService& service = any_service();
      return open_connection(service, new_client(service), any());
    }
    if (dice < 110) return take_over_connection();
    if (dice < 130) return send_lone_packet();
    if (dice < 300) return send_stray();

    const std::size_t place = below(static_cast<std::uint32_t>(connections_.size()));
    Connection& at = connections_[place];
    if (dice < 310 && at.state == Connection::kEstablished && at.is_judged) {
      publish_mispredicted(at);
    } else if (dice < 320 && at.state == Connection::kEstablished) {
      // A new connection from the port of an old one. Small stacks start with the same number.
      const Connection old = at;
      forget(place);
      const std::uint32_t ahead = old.is_over && one_in(2) ? 0 : 0x30000001;
      open_connection(*old.service, old.client.self(), old.client.isn() + ahead);
    } else {
      advance(at);
      if (connections_.size() > kConnections) forget(place);
    }
  }

  void forget(std::size_t place) {
    std::swap(connections_[place], connections_.back());
    connections_.pop_back();
  }

  std::unique_ptr<TwoBalancers> both_;
  Chance random_{0};
  std::vector<RingReal> reals_[TwoBalancers::kGroups];
  std::map<std::uint32_t, IpAddress> addresses_;  // of the reals
  std::vector<Connection> connections_;
  std::set<std::pair<IpAddress, std::uint16_t>> used_;
  std::set<IpAddress> seen_clients_;
  std::map<std::tuple<IpAddress, std::uint16_t, std::uint16_t>, std::uint32_t> lru_;
  RunResult ours_, katrans_;
  std::uint64_t packets_ = 0, apart_ = 0;
  std::set<std::string> seen_;  // kinds of strays
};

TEST_F(DifferentialTest, EveryPacketLeavesBothAlike) {
  const Seeds wanted = seeds(kRounds);
  for (std::uint32_t seed = wanted.first; seed < wanted.first + wanted.rounds; seed++) {
    SCOPED_TRACE(again(seed));
    begin_round(seed);
    for (const std::uint64_t end = packets_ + kPacketsOfARound; packets_ < end;) {
      step();
      if (packets_ % 100 == 0) both_->chain().take_events();
      ASSERT_FALSE(HasFatalFailure()) << "packet " << packets_ + kPacketsOfARound - end;
    }
  }
  for (const StrayKind& kind : stray_kinds()) EXPECT_TRUE(seen_.contains(kind.what)) << kind.what;
  EXPECT_GT(apart_, 0u) << "no connection that the two gave different reals by design";
}

// Difference by design 5: Katran leaves the port of a VIP for all ports out of its hash. A VIP must
// name its port for both to choose the same real.
TEST_F(DifferentialTest, AVipForAllPortsHashesWithoutThePort) {
  begin_round(1);
  const BalancedService& service = kServices[0];
  const std::uint16_t group = service.default_group;
  both_->group(group, AFFINITY_CONNECTION);
  both_->katran().forget_vips();
  both_->katran().put_vip(abi_address(TwoBalancers::vip(group, service.at.address)), 0,
                          TwoBalancers::katran_vip_num(group));
  reals_[group].assign(8, {});
  make_reals(group);
  for (RingReal& real : reals_[group]) real.weight = 1;
  both_->reals(group, reals_[group], RingVariant::kMaglevV2);

  for (int n = 0; n < 1000 && !HasFatalFailure(); n++) {
    Connection at{&service, group, Client(new_client(service), service.at, 1000),
                  0,        0,     Connection::kOpened,
                  syn(),    true};
    at.ours = by_ring(at);
    at.katrans = both_->by_ring(group, at.client.self(), 0);
    expect_by_reals(at.client.syn(), at);
  }
  EXPECT_GT(apart_, 0u);
}

}  // namespace
}  // namespace remora
