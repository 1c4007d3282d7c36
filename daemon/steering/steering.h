// SPDX-License-Identifier: Apache-2.0
//
// Brings the kernel's tables into line with the configuration.
//
// Traffic flows meanwhile, so the order of writes matters: reals before the rings that name them,
// rings before groups, groups before services, and routes as a whole set of a new generation.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/config/config.h"
#include "daemon/forwarders/forwarder.h"
#include "daemon/kernel/ids.h"
#include "daemon/kernel/maps.h"
#include "daemon/packets/builder.h"
#include "daemon/steering/reals.h"
#include "daemon/steering/topic_matching.h"

namespace remora {

class Steering {
 public:
  // All references must outlive it.
  Steering(const Maps& maps, Ids& ids, Forwarder& forwarder);

  // Applies the difference from the configuration in force. If numbers run out, throws with the
  // remedy before anything is changed.
  void apply(const Config& config, std::uint32_t link_mtu);

  // Indexes of former reals that the last apply() has freed, and perhaps given to other reals.
  const std::vector<std::uint32_t>& freed_reals() const { return freed_reals_; }

  // Matching by the configuration in force.
  const std::shared_ptr<const TopicMatching>& matching() const { return matching_; }

  const Reals& reals() const { return reals_; }

  // A real takes no new connections, or takes them again: in one group or, without `group`, in all
  // of its groups, which are returned. The order outlives the daemon, as its tables do. Throws
  // std::runtime_error, which lists the existing ones, for an unknown real or group.
  std::vector<std::string> drain(const Address& real, const std::optional<std::string>& group);
  std::vector<std::string> enable(const Address& real, const std::optional<std::string>& group);

  // How packets of the daemon itself reach the broker of a connection; no value if they cannot.
  // `real` is the index.
  std::optional<BrokerWay> way_to(std::uint16_t group, std::uint32_t real) const;

  // Asks the forwarder again for the length of each group's outer headers.
  void update_outer_lengths();
  // A real of a group has died by its checks, or is alive again. This outlives the daemon, too.
  void mark_dead(const std::string& group, const Address& real);
  void mark_alive(const std::string& group, const Address& real);

  // The clients that the packet path questions at their SYN (xdp/questions.h).
  enum class Asked : std::uint8_t { kDoubted, kEverybody };
  void ask(Asked asked);

  void set_link_mtu(std::uint32_t mtu);
  void set_gateway(const MacAddress& mac);

  // Endpoint of the service with that number; no value for a former one.
  std::optional<Endpoint> endpoint_of(std::uint16_t service) const;

 private:
  // The reals of a group's ring and their weights.
  using Ring = std::map<Address, std::uint32_t>;

  void remember(const Config& config);
  template <class Apply>
  void remember_in(const BpfMap<drain_key, __u32>& table, Apply&& apply);
  void write_groups(const Config& config);
  std::uint8_t outer_length_of(const std::string& group) const;
  void write_ring(const std::string& group);
  void write_services(const Config& config);
  void write_routes();
  ::settings current_settings() const;

  const Maps& maps_;
  Ids& ids_;
  Forwarder& forwarder_;
  RingVariant variant_ = RingVariant::kMaglevV2;
  const ::topic_keys keys_;
  Reals reals_;
  std::map<std::string, Ring> rings_;  // as they are in the kernel, by group
  std::shared_ptr<const TopicMatching> matching_;
  std::vector<std::uint32_t> freed_reals_;
  std::map<std::uint16_t, Endpoint> endpoints_;
};

}  // namespace remora
