// SPDX-License-Identifier: Apache-2.0
//
// MQTT topic filters as text: what is a valid one, of which kind it is for the
// kernel's tables, and a matcher that follows the standard word by word.
//
// Pure. The matcher is deliberately plain: the kernel's fast match is checked
// against it. Section numbers are those of MQTT 5.0; MQTT 3.1.1 says the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace remora {

// Bytes; the length in front of a UTF-8 string has 16 bits (§1.5.4).
inline constexpr std::size_t kMaxFilterBytes = 65535;

// Why `filter` is not a valid topic filter (§4.7.1, §4.7.3, §1.5.4), for people
// to read; nothing when it is valid.
std::optional<std::string> filter_problem(std::string_view filter);

// The same for a topic name, which has no wildcards.
std::optional<std::string> topic_problem(std::string_view topic);

enum class FilterKind : std::uint8_t {
  kExact,    // no wildcard
  kPrefix,   // `prefix/#`: the parent level and everything below it (§4.7.1.2)
  kAll,      // `#`: every topic that does not begin with `$` (§4.7.2)
  kPattern,  // has a `+`
};

// Of a valid filter.
FilterKind kind_of(std::string_view filter);

// What a kPrefix filter has in front of `/#`. That of `/#` is empty.
std::string_view prefix_of(std::string_view filter);

// Levels of a topic, or of a filter or a prefix: one more than its slashes.
std::size_t levels_of(std::string_view topic);

// Whether `topic`, a valid name, matches `filter`, a valid filter, `+`, `#` and
// `$` topics included (§4.7).
bool filter_matches(std::string_view filter, std::string_view topic);

}  // namespace remora
