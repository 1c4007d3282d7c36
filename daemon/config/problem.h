// SPDX-License-Identifier: Apache-2.0
//
// Problems of a configuration file: messages with the line to mend. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace remora {

struct Problem {
  std::uint32_t line = 0;  // from 1; 0: of the file as a whole
  std::string text;        // what is wrong and how to fix it
};

// "remora.toml:12: what is wrong", the form of every message about a file.
std::string describe(std::string_view file, const Problem& problem);

// A refused file, with everything that is wrong with it.
class ConfigError : public std::runtime_error {
 public:
  // what() is one line a problem, in the order of the file.
  ConfigError(std::string_view file, std::vector<Problem> problems);

  const std::vector<Problem>& problems() const { return problems_; }

 private:
  std::vector<Problem> problems_;
};

// Collects problems while reading goes on, so that one look shows them all.
class Problems {
 public:
  void add(std::uint32_t line, std::string text) { found_.push_back({line, std::move(text)}); }

  // In the order of the file, those without a line last. Leaves none.
  std::vector<Problem> take();

  bool empty() const { return found_.empty(); }

 private:
  std::vector<Problem> found_;
};

// The user's text for a message: in quotation marks, shortened, on one line.
std::string in_quotes(std::string_view text);

// "a, b, c"
std::string joined(std::span<const std::string_view> words);

// The one of `candidates` that `word` was probably meant to be.
std::optional<std::string_view> closest(std::string_view word,
                                        std::span<const std::string_view> candidates);

}  // namespace remora
