// SPDX-License-Identifier: Apache-2.0
//
// Findings of the checks of `remoractl doctor`.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace remora::doctor {

enum class State : std::uint8_t {
  kOk,
  kWarning,  // it works, but not as it should or not for certain
  kError,
  kUnknown,  // it could not be looked at
};

struct Finding {
  std::string check;      // one word that stays the same, for scripts
  std::string looked_at;  // a file, a setting, a device: the subject of the sentence in `says`
  State state = State::kOk;
  std::string says;    // if unknown, the reason
  std::string remedy;  // a command; empty: there is none
};

using Findings = std::vector<Finding>;

// The subject of a check, to which the outcome is added.
struct About {
  std::string check;
  std::string looked_at;

  Finding ok(std::string says = "", std::string remedy = "") const {
    return {check, looked_at, State::kOk, std::move(says), std::move(remedy)};
  }
  Finding warning(std::string says, std::string remedy = "") const {
    return {check, looked_at, State::kWarning, std::move(says), std::move(remedy)};
  }
  Finding error(std::string says, std::string remedy = "") const {
    return {check, looked_at, State::kError, std::move(says), std::move(remedy)};
  }
  Finding unknown(std::string why) const {
    return {check, looked_at, State::kUnknown, std::move(why), ""};
  }
};

}  // namespace remora::doctor
