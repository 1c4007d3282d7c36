// SPDX-License-Identifier: Apache-2.0
//
// The log in the journal of systemd, with priorities and fields.
#pragma once

namespace remora {

// Whether standard error is the journal, as it is for a unit (JOURNAL_STREAM, systemd.exec(5)).
bool is_in_journal();

// If it is, messages go there with their priorities and fields; otherwise nothing changes.
void log_to_journal();

}  // namespace remora
