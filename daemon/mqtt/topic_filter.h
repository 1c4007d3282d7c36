// SPDX-License-Identifier: Apache-2.0
//
// MQTT topic filters as text: whether one is valid, which of two is more specific, and a matcher
// that follows the standard word by word.
//
// Pure. The matcher is deliberately plain: the fast match (bpf/topic.h) is checked
// against it. Section numbers are those of MQTT 5.0; MQTT 3.1.1 says the same.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace remora {

// Bytes; the length before a UTF-8 string has 16 bits (§1.5.4).
inline constexpr std::size_t kMaxFilterBytes = 65535;

// The reason why `filter` is not a valid topic filter (§4.7.1, §4.7.3, §1.5.4), for people; empty
// if it is valid.
std::optional<std::string> filter_problem(std::string_view filter);

// The same for a topic name, which must not have wildcards.
std::optional<std::string> topic_problem(std::string_view topic);

// Well-formed UTF-8 (RFC 3629 §4): shortest form, no surrogates, nothing above
// U+10FFFF.
bool is_utf8(std::string_view text);

// Whether a valid filter has wildcards, and so can match several topics.
bool has_wildcard(std::string_view filter);

// Which of two valid filters that match a topic is more specific: level by level from the left, a
// name precedes `+`, and `+` precedes `#`. Two different filters that match a topic are never equal
// in this order, and the topic's own name comes first.
bool is_more_specific(std::string_view left, std::string_view right);

// Whether `topic`, a valid name, matches `filter`, a valid filter, `+`, `#` and
// `$` topics included (§4.7).
bool filter_matches(std::string_view filter, std::string_view topic);

}  // namespace remora
