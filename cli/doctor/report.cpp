// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/report.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>

#include "daemon/command_line/exit_codes.h"

namespace remora::doctor {
namespace {

constexpr std::size_t kColumns = 80, kTextFrom = 25;
constexpr std::array<State, 4> kStates = {State::kError, State::kWarning, State::kUnknown,
                                          State::kOk};

std::size_t count(const Findings& findings, State state) {
  return static_cast<std::size_t>(std::ranges::count(findings, state, &Finding::state));
}

// Prints words of `text` from the column kTextFrom on, and continues a line that is already begun.
// A word that is too long stands alone.
void print_wrapped(std::ostream& out, const std::string& text) {
  std::istringstream lines(text);
  bool is_first_line = true;
  for (std::string line; std::getline(lines, line); is_first_line = false) {
    if (!is_first_line) out << '\n' << std::string(kTextFrom, ' ');
    std::istringstream words(line);
    std::size_t column = kTextFrom;
    for (std::string word; words >> word;) {
      if (column > kTextFrom && column + 1 + word.size() > kColumns) {
        out << '\n' << std::string(kTextFrom, ' ');
        column = kTextFrom;
      }
      if (column > kTextFrom) out << ' ', ++column;
      out << word;
      column += word.size();
    }
  }
  out << '\n';
}

std::string label(State state) {
  return state == State::kError ? "ERROR" : std::string(to_string(state));
}

}  // namespace

int exit_code(const Findings& findings) {
  if (count(findings, State::kError) > 0) return kFailed;
  return count(findings, State::kUnknown) > 0 ? kNotInOrder : kDone;
}

std::string_view to_string(State state) {
  switch (state) {
    case State::kOk:
      return "ok";
    case State::kWarning:
      return "warning";
    case State::kError:
      return "error";
    case State::kUnknown:
      break;
  }
  return "unknown";
}

void print_findings(std::ostream& out, const Findings& findings) {
  for (const Finding& finding : findings) {
    // A subject that could not be examined has a reason; all others have a sentence.
    const std::string gap = finding.state == State::kUnknown ? ": " : " ";
    out << fmt::format("{:<8} {:<16}", label(finding.state), finding.check);
    print_wrapped(out, finding.looked_at + gap + finding.says);
    if (!finding.remedy.empty()) out << "         # " << finding.remedy << '\n';
  }
  std::string summary;
  for (const State state : kStates) {
    const std::size_t number = count(findings, state);
    if (number == 0 && state != State::kError) continue;
    const bool is_plural = number != 1 && (state == State::kError || state == State::kWarning);
    summary += fmt::format("{}{} {}{}", summary.empty() ? "" : ", ", number, to_string(state),
                           is_plural ? "s" : "");
  }
  out << '\n' << summary << '\n';
}

nlohmann::ordered_json to_json(const Findings& findings) {
  nlohmann::ordered_json counts, rows = nlohmann::ordered_json::array();
  for (const State state : kStates) counts[std::string(to_string(state))] = count(findings, state);
  for (const Finding& finding : findings) {
    rows.push_back({{"check", finding.check},
                    {"state", to_string(finding.state)},
                    {"looked_at", finding.looked_at},
                    {"says", finding.says},
                    {"remedy", finding.remedy.empty() ? nlohmann::ordered_json(nullptr)
                                                      : nlohmann::ordered_json(finding.remedy)}});
  }
  return {{"counts", counts}, {"findings", rows}};
}

}  // namespace remora::doctor
