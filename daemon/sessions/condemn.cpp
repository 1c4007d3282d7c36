// SPDX-License-Identifier: Apache-2.0
#include "daemon/sessions/condemn.h"

namespace remora {

void condemn(const Maps& maps, const Steering& steering, Ender& ender, const flow_key& key,
             const flow& entry) {
  maps.flows.set_state(key, FLOW_CONDEMNED);
  Record record{};
  record.head.flow = key;
  record.head.seq = entry.edge;
  record.head.flags = EVENT_SEGMENT | EVENT_BEGAN_EARLIER;
  const auto service = steering.endpoint_of(key.service);
  const auto way = steering.way_to(entry.group, entry.real);
  if (service && way) ender.reset_session(record, *service, *way);
}

}  // namespace remora
