// SPDX-License-Identifier: Apache-2.0
#include "daemon/steering/topic_matching.h"

#include "bpf/topic.h"

namespace remora {
namespace {

// `part` has at most MAX_TOPIC bytes.
std::uint64_t hash_of_part(const ::topic_keys& keys, std::string_view part) {
  __u64 words[TOPIC_ROOM]{};
  part.copy(reinterpret_cast<char*>(words), part.size());
  return topic_hash(&keys, words, static_cast<__u32>(part.size()));
}

}  // namespace

// A long topic is hashed in parts, each together with the hash of all parts before it.
std::uint64_t TopicMatching::hash(std::string_view topic) const {
  std::uint64_t hash = hash_of_part(keys, topic.substr(0, MAX_TOPIC));
  constexpr std::size_t kStep = MAX_TOPIC - sizeof(hash);
  for (std::size_t at = MAX_TOPIC; at < topic.size(); at += kStep) {
    std::string part(reinterpret_cast<const char*>(&hash), sizeof(hash));
    part += topic.substr(at, kStep);
    hash = hash_of_part(keys, part);
  }
  return hash;
}

std::string_view TopicMatching::group_for(const Service& service, std::string_view topic) const {
  return routes.match(topic).value_or(service.default_group);
}

std::optional<std::uint16_t> TopicMatching::number_of(std::string_view group) const {
  const auto found = groups.find(std::string(group));
  return found == groups.end() ? std::nullopt : std::optional(found->second);
}

const TopicMatching::Service* TopicMatching::find(const Endpoint& service) const {
  const auto found = services.find(service);
  return found == services.end() ? nullptr : &found->second;
}

}  // namespace remora
