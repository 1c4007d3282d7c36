// SPDX-License-Identifier: Apache-2.0
//
// Keeps the programs on the LB's interface, whatever other tools do to it.
//
// They may take the programs off or remove pins; they may rename the interface, delete it and make
// it anew, or move it to another network namespace and back. The programs are put back where they
// belong. What cannot be put right is a problem for the log and the status.
#pragma once

#include <functional>
#include <string>

#include "daemon/base/fd_reserve.h"
#include "daemon/base/link.h"
#include "daemon/kernel/programs.h"

namespace remora {

class Attachment {
 public:
  struct Handlers {
    // Something was missing, and is back.
    std::function<void()> on_restored;
    // The interface was made anew, under another index.
    std::function<void(const Link& link)> on_new_interface;
  };

  // `interface`: the configured name, which `link` has at the start. `programs`, on the interface,
  // must outlive it.
  Attachment(std::string interface, const Link& link, Programs& programs, Handlers handlers);

  // Called often, and when a check has failed. Returns whether all was in order: false also if
  // something was missing and is back. Changes are logged once. Throws std::system_error if the
  // kernel cannot be asked.
  bool look();

  // Whether the programs are where they should be, as of the last look().
  bool is_complete() const { return is_complete_; }
  // For people; empty: none. A renamed interface is a problem, although the programs are on it.
  const std::string& problem() const { return problem_; }

 private:
  struct Finding {
    bool is_complete = true;
    bool was_missing = false;  // something that may be back by now
    std::string problem = "";
  };
  Finding find();
  Finding put_back();

  const std::string interface_;
  unsigned index_;
  Programs& programs_;
  const Handlers handlers_;
  FdReserve reserve_;  // without descriptors everything would seem to be missing
  bool is_complete_ = true;
  std::string problem_;
};

}  // namespace remora
