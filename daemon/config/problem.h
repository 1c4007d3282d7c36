// SPDX-License-Identifier: Apache-2.0
//
// Problems of a configuration file: messages with the line to correct. Pure.
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
  std::uint32_t line = 0;  // from 1; 0: it concerns the file as a whole
  std::string text;        // the problem and how to fix it
};

// "remora.toml:12: what is wrong", the form of every message about a file.
std::string describe(std::string_view file, const Problem& problem);

// A refused file, with all its problems.
class ConfigError : public std::runtime_error {
 public:
  // what() has one line for each problem, in the order of the file.
  ConfigError(std::string_view file, std::vector<Problem> problems);

  const std::vector<Problem>& problems() const { return problems_; }

 private:
  std::vector<Problem> problems_;
};

// Collects problems while reading goes on, so that all of them are reported at once.
class Problems {
 public:
  void add(std::uint32_t line, std::string text) { found_.push_back({line, std::move(text)}); }

  // Returns the problems in the order of the file, those without a line last, and forgets them.
  std::vector<Problem> take();

  bool empty() const { return found_.empty(); }

 private:
  std::vector<Problem> found_;
};

// The user's text for a message: in quotation marks, shortened, on one line.
std::string in_quotes(std::string_view text);

// "a, b, c"
std::string joined(std::span<const std::string_view> words);

// The candidate that `word` was probably meant to be.
std::optional<std::string_view> closest(std::string_view word,
                                        std::span<const std::string_view> candidates);

}  // namespace remora
