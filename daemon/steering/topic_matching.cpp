// SPDX-License-Identifier: Apache-2.0
#include "daemon/steering/topic_matching.h"

#include "bpf/topic.h"

namespace remora {

std::uint64_t TopicMatching::hash(std::string_view text) const {
  if (text.size() > MAX_TOPIC) return 0;
  __u64 words[TOPIC_ROOM]{};
  text.copy(reinterpret_cast<char*>(words), text.size());
  return topic_hash(&keys, words, static_cast<__u32>(text.size()));
}

std::uint16_t TopicMatching::group_for(const Service& service, std::string_view topic) const {
  const auto name = routes.match(topic);
  return name ? groups.at(std::string(*name)) : service.default_group;
}

}  // namespace remora
