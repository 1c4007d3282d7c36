// SPDX-License-Identifier: Apache-2.0
//
// The exit codes of remorad, remoractl and remora-decap (docs/operations.md, "Exit codes").
#pragma once

namespace remora {

constexpr int kDone = 0;
constexpr int kFailed = 1;      // it could not be done, or the doctor found an error
constexpr int kWrongUsage = 2;  // the command line or the configuration is invalid
constexpr int kNotInOrder = 3;  // it was done, but not all is in order or could be examined

}  // namespace remora
