// SPDX-License-Identifier: Apache-2.0
//
// Keeps the programs on the LB's interface although other tools change it.
//
// Other tools may remove the programs or their pins. They may rename the interface, delete it and
// create it again, or move it to another network namespace and back. The programs are put back on
// it. Anything that cannot be put back is a problem, which the log and the status report.
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
    // Called when something was missing and has been put back.
    std::function<void()> on_restored;
    // Called when the interface has been created again, with another index.
    std::function<void(const Link& link)> on_new_interface;
  };

  // `interface` is the configured name, which `link` has at the start. `programs` must be attached
  // to it, and must outlive this object.
  Attachment(std::string interface, const Link& link, Programs& programs, Handlers handlers);

  // Called often, and when a check has failed. Returns whether all was in order; false also if
  // something was missing and has been put back. Changes are logged once. Throws std::system_error
  // if the kernel cannot be asked.
  bool look();

  // Whether the programs are where they should be, as of the last look().
  bool is_complete() const { return is_complete_; }
  // The problem, for people; empty: none. A renamed interface is one, although it has the programs.
  const std::string& problem() const { return problem_; }

 private:
  struct Finding {
    bool is_complete = true;
    bool was_missing = false;  // something was missing, and may be back by now
    std::string problem = "";
  };
  Finding find();
  Finding put_back();

  const std::string interface_;
  unsigned index_;
  Programs& programs_;
  const Handlers handlers_;
  FdReserve reserve_;  // without free descriptors everything would seem to be missing
  bool is_complete_ = true;
  std::string problem_;
};

}  // namespace remora
