// SPDX-License-Identifier: Apache-2.0
//
// For tests of the doctor: the expected findings, without those that are ok.
#pragma once

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "cli/doctor/finding.h"
#include "cli/doctor/report.h"

namespace remora::doctor {

struct Complaint {
  std::string check;
  State state = State::kError;

  bool operator==(const Complaint&) const = default;
};

using Complaints = std::vector<Complaint>;

inline void PrintTo(const Complaint& complaint, std::ostream* out) {
  *out << to_string(complaint.state) << " " << complaint.check;
}

inline Complaints complaints_of(const Findings& findings) {
  Complaints complaints;
  for (const Finding& finding : findings) {
    if (finding.state != State::kOk) complaints.push_back({finding.check, finding.state});
  }
  return complaints;
}

// Whether a finding of the check contains the words, in its text or its remedy.
inline testing::AssertionResult says(const Findings& findings, const std::string& check,
                                     const std::string& words) {
  std::string all;
  for (const Finding& finding : findings) {
    if (finding.check == check)
      all += finding.looked_at + " " + finding.says + " # " + finding.remedy + "\n";
  }
  if (all.find(words) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "no \"" << words << "\" in:\n" << all;
}

}  // namespace remora::doctor
