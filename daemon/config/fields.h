// SPDX-License-Identifier: Apache-2.0
//
// Makes the fields of keys: the values that a key may have, and the member of config.h that gets
// the value.
//
// A member is given by the path to it from its owner: number<&Real::weight>() for an entry of a
// list, number<&Config::limits, &Limits::flows>() for a table that occurs once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "daemon/config/checks.h"
#include "daemon/config/keys.h"
#include "daemon/config/section.h"

namespace remora {

// A value in the notation of the file: 1_000_000, 0x9C, "text".
std::string toml_number(std::uint32_t number);
std::string toml_code(std::uint8_t code);
std::string toml_text(std::string_view text);

template <class T>
constexpr Word word(std::string_view text, T value, std::string_view meaning) {
  return {text, static_cast<std::uint8_t>(value), meaning};
}
constexpr Word planned_word(std::string_view text) {
  return {text, std::nullopt, {}};
}

inline constexpr Word kXdpModes[] = {
    word("native", XdpMode::kNative, "in the driver"),
    word("generic", XdpMode::kGeneric, "works with every driver, but is slower"),
};

// ---- how a value gets to its member -------------------------------------------------

template <auto First, auto... Rest>
struct Member {
  template <class Class, class Value>
  static Class owner_of(Value Class::*);
  using Owner = decltype(owner_of(First));

  static auto& in(Owner& owner) { return ((owner.*First).*....*Rest); }
  static const auto& in(const Owner& owner) { return ((owner.*First).*....*Rest); }
  using Value = std::remove_reference_t<decltype(in(std::declval<Owner&>()))>;
};

template <auto... Way>
struct NumberAccess : Member<Way...> {
  using typename Member<Way...>::Owner;
  using typename Member<Way...>::Value;

  static void read(const Section& section, std::string_view key, Owner& owner) {
    if (const auto found = section.number(key))
      Member<Way...>::in(owner) = static_cast<Value>(found->value);
  }
  static std::string show(const Owner& owner) {
    if constexpr (std::is_same_v<Value, std::uint8_t>)
      return toml_code(Member<Way...>::in(owner));
    else
      return toml_number(Member<Way...>::in(owner));
  }
};

// Binds a string or a path.
template <auto... Way>
struct TextAccess : Member<Way...> {
  using typename Member<Way...>::Owner;

  static void read(const Section& section, std::string_view key, Owner& owner) {
    if (const auto found = section.text(key)) Member<Way...>::in(owner) = found->value;
  }
  static std::string show(const Owner& owner) {
    return toml_text(std::filesystem::path(Member<Way...>::in(owner)).native());
  }
};

// An address that is not in the file is unspecified, and shows as nothing.
template <auto... Way>
struct AddressAccess : Member<Way...> {
  using typename Member<Way...>::Owner;

  static void read(const Section& section, std::string_view key, Owner& owner) {
    if (const auto found = section.text(key))
      Member<Way...>::in(owner) = *Address::parse(found->value);
  }
  static std::string show(const Owner& owner) {
    const Address& address = Member<Way...>::in(owner);
    return address.is_unspecified() ? std::string() : toml_text(to_string(address));
  }
};

// Binds an enum, or an optional one, which shows as an empty text if it has no value.
template <const auto& words, auto... Way>
struct WordAccess : Member<Way...> {
  using typename Member<Way...>::Owner;
  using Enum =
      std::remove_cvref_t<decltype(*std::optional(std::declval<typename Member<Way...>::Value>()))>;

  static void read(const Section& section, std::string_view key, Owner& owner) {
    if (const auto found = section.word(key)) Member<Way...>::in(owner) = static_cast<Enum>(*found);
  }
  static std::string show(const Owner& owner) {
    const std::optional value(Member<Way...>::in(owner));
    return value ? toml_text(word_of(words, static_cast<std::uint8_t>(*value))) : std::string();
  }
};

struct GatewayAccess {
  using Owner = Config;
  static void read(const Section& section, std::string_view key, Config& config);
  static std::string show(const Config& config);
};

struct OuterSourceAccess {
  using Owner = Config;
  static void read(const Section& section, std::string_view key, Config& config);
  static std::string show(const Config& config);
};

struct CheckNetworksAccess {
  using Owner = Config;
  static void read(const Section& section, std::string_view key, Config& config);
  static std::string show(const Config& config);
};

struct SourcesAccess {
  using Owner = Config;
  static void read(const Section& section, std::string_view key, Config& config);
  static std::string show(const Config& config);
};

struct RealsAccess {
  using Owner = Group;
  static std::string show(const Group& group);
};

// ---- the fields ----------------------------------------------------------------------

template <auto... Way>
constexpr Field number(Range range,
                       std::optional<std::string> (*problem)(std::uint32_t) = nullptr) {
  return {.type = "integer",
          .range = range,
          .number_problem = problem,
          .binding = Binding::to<NumberAccess<Way...>>()};
}

template <auto... Way>
constexpr Field text(std::optional<std::string> (*problem)(std::string_view)) {
  return {.type = "string", .text_problem = problem, .binding = Binding::to<TextAccess<Way...>>()};
}

template <auto... Way>
constexpr Field address_text() {
  return {.type = "string",
          .text_problem = address_problem,
          .binding = Binding::to<AddressAccess<Way...>>()};
}

template <const auto& words, auto... Way>
constexpr Field one_of() {
  return {.type = "string", .words = words, .binding = Binding::to<WordAccess<words, Way...>>()};
}

inline constexpr Field kGateway = {
    .type = "string", .text_problem = mac_problem, .binding = Binding::to<GatewayAccess>()};
inline constexpr Field kOuterSource = {.type = "string, or array of strings",
                                       .binding = Binding::to<OuterSourceAccess>()};
inline constexpr Field kCheckNetworks = {.type = "string, or array of strings",
                                         .binding = Binding::to<CheckNetworksAccess>()};
inline constexpr Field kSources = {.type = "string, or array of strings",
                                   .binding = Binding::to<SourcesAccess>()};
inline constexpr Field kReals = {.type = "array of tables", .binding = Binding::to<RealsAccess>()};

}  // namespace remora
