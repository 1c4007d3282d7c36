// SPDX-License-Identifier: Apache-2.0
//
// The keys of a configuration file: each row contains all facts about a key.
//
// The reader uses type, range, words and default; a reload and the doctor use the row to see which
// changes need a restart; scripts/write-reference makes the tables of docs/config.md, the pages of
// docs/man and the comments of systemd/remora.toml from it.
//
// To add a key, add a member in config.h and its row in key_rows.cpp, and run
// scripts/write-reference.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/config/config.h"

namespace remora {

class Section;
struct Key;

// The step that makes a running remorad take up a change of a key.
enum class Change : std::uint8_t {
  kReload,
  kRestart,
  kDetach,  // detach with the old file before the restart
};

struct Range {
  std::uint32_t lowest = 0;
  std::uint32_t highest = UINT32_MAX;
};

// A word that is a value of a key.
struct Word {
  std::string_view word;
  std::optional<std::uint8_t> value;  // of the enum; no value: planned, not yet available
  std::string_view meaning;           // a sentence without its capital and its full stop
};

// Where a key's value is stored: in an `Owner`, the struct of config.h for its table.
class Binding {
 public:
  // A key whose value is not stored.
  constexpr Binding() = default;

  // An `Access` has an Owner and two static functions: `read` reads the key from a section into the
  // owner; `show` returns the owner's value in the notation of the file, for defaults and
  // comparisons. Without `read`, the reader of the table reads the key itself.
  template <class Access>
  static constexpr Binding to() {
    using Owner = typename Access::Owner;
    Binding binding;
    binding.owner_ = &kTag<Owner>;
    if constexpr (requires { &Access::read; }) {
      binding.read_ = [](const Section& section, std::string_view key, void* owner) {
        Access::read(section, key, *static_cast<Owner*>(owner));
      };
    }
    binding.show_ = [](const void* owner) {
      return Access::show(*static_cast<const Owner*>(owner));
    };
    binding.show_default_ = [] { return Access::show(Owner()); };
    return binding;
  }

  constexpr bool is_read() const { return read_ != nullptr; }
  constexpr bool is_shown() const { return show_ != nullptr; }

  template <class Owner>
  void read(const Section& section, std::string_view key, Owner& owner) const {
    require<Owner>();
    read_(section, key, &owner);
  }

  template <class Owner>
  std::string show(const Owner& owner) const {
    require<Owner>();
    return show_(&owner);
  }

  // The value in a file without the key.
  std::string show_default() const { return show_default_(); }

 private:
  template <class Owner>
  static constexpr char kTag = 0;

  template <class Owner>
  void require() const {
    if (owner_ != &kTag<Owner>) throw std::logic_error("a key is read into another struct");
  }

  const char* owner_ = nullptr;
  void (*read_)(const Section&, std::string_view, void*) = nullptr;
  std::string (*show_)(const void*) = nullptr;
  std::string (*show_default_)() = nullptr;
};

// The values that a key may have, and where they are stored. fields.h makes them.
struct Field {
  std::string_view type;  // for people: "integer"
  Range range = {};       // if it is an integer
  std::span<const Word> words = {};
  // The problem with a value, as the rest of a sentence that begins with the key.
  std::optional<std::string> (*text_problem)(std::string_view) = nullptr;
  std::optional<std::string> (*number_problem)(std::uint32_t) = nullptr;
  Binding binding = {};
};

enum class Presence : std::uint8_t { kOptional, kRequired };

struct Key {
  std::string_view table;  // "lb"; "group.reals" for the entries of `reals`; "": the root
  std::string_view name;
  Field field;
  Presence presence = Presence::kOptional;
  Change change = Change::kReload;
  // One sentence: the comment in the example file, and the first line elsewhere.
  std::string_view meaning;
  // Further sentences, for the reference only.
  std::string_view details = {};
  // The default in words, if it is not a value that the file could have.
  std::string_view default_words = {};
  // A value, as TOML, if the default is a poor example.
  std::string_view example = {};
  // The maps whose size the key sets, with blanks between them (daemon/config/memory_plan.h).
  std::string_view maps = {};
};

struct Table {
  std::string_view name;
  std::string_view heading;  // used in messages and documents
};

// The tables and keys of one kind of file.
class Keys {
 public:
  constexpr Keys(std::span<const Table> tables, std::span<const Key> keys)
      : tables_(tables), keys_(keys) {}

  std::span<const Table> tables() const { return tables_; }
  std::span<const Key> all() const { return keys_; }

  // The keys of one table, in their order.
  std::vector<const Key*> of(std::string_view table) const;
  // Throws std::logic_error if there is no such key.
  const Key& find(std::string_view table, std::string_view name) const;
  std::string_view heading(std::string_view table) const;
  // The tables that have the key `name`: "[[group]] or [mispredict]". Empty: none.
  std::string home_of(std::string_view name) const;

 private:
  std::span<const Table> tables_;
  std::span<const Key> keys_;
};

// The keys of remora.toml.
const Keys& config_keys();

// A value of a key, as TOML, for examples.
std::string example_of(const Key& key);
// The default as TOML or in words; empty for a required key.
std::optional<std::string> default_of(const Key& key);

// The word for an enum's value.
std::string_view word_of(std::span<const Word> words, std::uint8_t value);

// A key with different values in two configurations, or a list of tables with different
// entries.
struct ChangedKey {
  std::string name;  // "[lb] xdp_mode", "[[group]]"
  Change change;
};

// The differences between two accepted configurations, in the order of the keys. The notation of
// values in the file does not matter.
std::vector<ChangedKey> changed_keys(const Config& before, const Config& after);

// The one step that takes up all of them.
Change needed_for(const std::vector<ChangedKey>& changed);

// "[lb] xdp_mode, [limits] flows"
std::string names_of(const std::vector<ChangedKey>& changed);

// Throws std::runtime_error, with the keys and the remedy, if a reload cannot change `running` into
// `next`.
void require_reloadable(const Config& running, const Config& next);

}  // namespace remora
