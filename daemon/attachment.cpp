// SPDX-License-Identifier: Apache-2.0
#include "daemon/attachment.h"

#include <exception>
#include <utility>

#include "daemon/base/callback.h"
#include "log/log.h"

namespace remora {

Attachment::Attachment(std::string interface, const Link& link, Programs& programs,
                       Handlers handlers)
    : interface_(std::move(interface)),
      index_(link.index),
      programs_(programs),
      handlers_(std::move(handlers)) {}

bool Attachment::look() {
  const auto loan = reserve_.lend();
  Finding found = find();
  is_complete_ = found.is_complete;
  if (found.problem != problem_) {
    if (found.problem.empty())
      log::info("all is in order on {} again", interface_);
    else
      log::error("{}", found.problem);
    problem_ = std::move(found.problem);
  }
  return found.is_complete && !found.was_missing;
}

Attachment::Finding Attachment::find() {
  const auto name = find_name(index_);
  if (name == interface_) return put_back();
  if (name && programs_.is_on_interface()) {
    Finding found = put_back();
    if (found.problem.empty())
      found.problem = "the interface " + interface_ + " is called " + *name +
                      " now; rename it, or change [lb] interface and restart";
    return found;
  }
  // The interface is gone, or its index belongs to another one now.
  const auto link = find_link(interface_);
  if (!link)
    return {.is_complete = false,
            .was_missing = true,
            .problem = "the interface " + interface_ +
                       " is gone; remorad waits for an interface of this name"};
  programs_.move_to(link->index);
  handlers_.on_new_interface(*link);
  index_ = link->index;
  log::warn("the interface {} was made anew; the programs follow", interface_);
  return put_back();
}

Attachment::Finding Attachment::put_back() {
  std::string missing;
  try {
    missing = programs_.put_back();
  } catch (const std::exception& error) {
    return {.is_complete = false, .was_missing = true, .problem = error.what()};
  }
  Finding found;
  if (!missing.empty()) {
    found.was_missing = true;
    log_failure("missing, and put back", missing);  // limited, as a tool may remove it repeatedly
    handlers_.on_restored();
  }
  if (programs_.lacks_forwarder())
    found.problem =
        "the forwarder's slot is empty: packets for brokers are dropped; systemctl restart remora "
        "fills it";
  return found;
}

}  // namespace remora
