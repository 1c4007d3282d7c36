// SPDX-License-Identifier: Apache-2.0
//
// The table of keys: what it says of defaults, and of changes while remorad runs.
#include "daemon/config/keys.h"

#include <gtest/gtest.h>

#include "daemon/config/changes.h"

namespace remora {
namespace {

constexpr std::string_view kRunning = R"([lb]
interface = "eth0"
[[service]]
name = "mqtt"
address = "10.1.50.200"
port = 1883
default_group = "a"
[[group]]
name = "a"
vip = "10.1.50.201"
reals = [ { address = "10.1.3.101" }, { address = "10.1.3.102", weight = 2 } ]
[[route]]
filter = "x/#"
group = "a"
[limits]
flows = 1000
)";

Config config_of(std::string_view text) {
  return parse_config(text, "remora.toml");
}

// The running configuration with the text `what` replaced.
Config after(std::string_view what, std::string_view becomes) {
  std::string text(kRunning);
  return config_of(text.replace(text.find(what), what.size(), becomes));
}

std::string changed_by(std::string_view what, std::string_view becomes) {
  return names_of(changed_keys(config_of(kRunning), after(what, becomes)));
}

// The reason why a reload refuses the change; empty if it takes the change up.
std::string refusal_of(std::string_view what, std::string_view becomes) {
  try {
    require_reloadable(config_of(kRunning), after(what, becomes));
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return {};
}

TEST(KeysTest, EveryKeyHasARowThatSaysEnough) {
  for (const Key& key : config_keys().all()) {
    EXPECT_TRUE(key.meaning.ends_with('.')) << key.table << "." << key.name;
    EXPECT_FALSE(example_of(key).empty()) << key.table << "." << key.name;
    EXPECT_NE(config_keys().heading(key.table), key.table) << key.name;
  }
}

TEST(KeysTest, DefaultsAreThoseOfTheConfiguration) {
  const auto shown = [](std::string_view table, std::string_view key) {
    return default_of(config_keys().find(table, key)).value_or("required");
  };
  EXPECT_EQ(shown("lb", "interface"), "required");
  EXPECT_EQ(shown("lb", "instance"), "the interface's name");
  EXPECT_EQ(shown("lb", "gateway_mac"), "\"auto\"");
  EXPECT_EQ(shown("lb", "outer_source"), "\"katran\"");
  EXPECT_EQ(shown("service", "unknown_clients"), "\"router\"");
  EXPECT_EQ(shown("group.reals", "weight"), "1");
  EXPECT_EQ(shown("evacuate", "reason"), "0x9C");
  EXPECT_EQ(shown("health", "password_file"), "\"\"");
  EXPECT_EQ(shown("health", "networks"), "[ \"198.18.0.0/16\", \"fd72:656d:6f72:6100::/64\" ]");
  EXPECT_EQ(shown("limits", "clients"), "1_000_000");
  EXPECT_EQ(shown("limits", "half_open"), "65_536");
  EXPECT_EQ(shown("limits", "topics"), "8192");
}

TEST(KeysTest, ChangesAreToldInWords) {
  using Lines = std::vector<std::string>;
  const Config running = config_of(kRunning);
  const auto changes = [&](std::string_view what, std::string_view becomes) {
    return describe_changes(running, after(what, becomes));
  };

  EXPECT_EQ(describe_changes(running, config_of(kRunning)), Lines());
  EXPECT_EQ(changes("flows = 1000", "flows = 1_000"), Lines()) << "the same value";
  EXPECT_EQ(changes("flows = 1000", "flows = 2000\nclients = 5000"),
            (Lines{"[limits] clients 5000, was 1_000_000", "[limits] flows 2000, was 1000"}));
  EXPECT_EQ(changes("name = \"mqtt\"", "name = \"other\""),
            Lines{"service 10.1.50.200:1883: name \"other\", was \"mqtt\""});
  EXPECT_EQ(changes("port = 1883", "port = 1884"),
            (Lines{"service 10.1.50.200:1884 added", "service 10.1.50.200:1883 removed"}));
  EXPECT_EQ(changes("{ address = \"10.1.3.101\" }, { address = \"10.1.3.102\", weight = 2 }",
                    "{ address = \"10.1.3.102\" }, { address = \"10.1.3.103\" }"),
            (Lines{"group a: real 10.1.3.102: weight 1, was 2", "group a: real 10.1.3.103 added",
                   "group a: real 10.1.3.101 removed"}));
  EXPECT_EQ(changes("{ address = \"10.1.3.101\" }, { address = \"10.1.3.102\", weight = 2 }",
                    "{ address = \"10.1.3.102\", weight = 2 }, { address = \"10.1.3.101\" }"),
            Lines())
      << "in another order";
  EXPECT_EQ(changes("[[route]]", "policy = \"keep\"\n[[route]]"),
            Lines{"group a: policy \"keep\", was none"});
  EXPECT_EQ(changes("filter = \"x/#\"\ngroup = \"a\"\n", "filter = \"y\"\ngroup = \"a\"\n"),
            (Lines{"route \"y\" added", "route \"x/#\" removed"}));
}

TEST(KeysTest, TenThousandRoutesAreComparedAtOnce) {
  const auto with_routes = [](int count) {
    std::string text(kRunning);
    for (int i = 0; i < count; ++i)
      text += "[[route]]\nfilter = \"r/" + std::to_string(i) + "\"\ngroup = \"a\"\n";
    return config_of(text);
  };

  EXPECT_EQ(describe_changes(with_routes(10'000), with_routes(9'999)),
            std::vector<std::string>{"route \"r/9999\" removed"});
}

TEST(KeysTest, ValuesAreComparedNotTheirSpelling) {
  EXPECT_EQ(changed_by("flows = 1000", "# fewer\n  flows=1_000"), "");
  EXPECT_EQ(changed_by("[limits]", "[health]\ninterval_s = 5\n[limits]\nclients = 1_000_000"), "");
}

TEST(KeysTest, ChangedKeysAreNamed) {
  EXPECT_EQ(changed_by("flows = 1000", "clients = 1000"), "[limits] clients, [limits] flows");
  EXPECT_EQ(changed_by("[limits]\nflows = 1000", ""), "[limits] flows");
  EXPECT_EQ(changed_by("\"eth0\"", "\"eth1\""), "[lb] interface, [lb] instance");
}

TEST(KeysTest, ListsAreNamedAsAWhole) {
  EXPECT_EQ(changed_by("weight = 2", "weight = 3"), "[[group]]");
  EXPECT_EQ(changed_by(", { address = \"10.1.3.102\", weight = 2 }", ""), "[[group]]");
  EXPECT_EQ(changed_by("x/#", "x/+"), "[[route]]");
  EXPECT_EQ(changed_by("1883", "1884"), "[[service]]");
}

TEST(KeysTest, AReloadTakesWhatARunningInstanceCanChange) {
  EXPECT_EQ(refusal_of("weight = 2", "weight = 3"), "");
  EXPECT_EQ(refusal_of("[limits]", "[mispredict]\npolicy = \"keep\"\n[limits]"), "");
  EXPECT_EQ(refusal_of("[limits]", "[evacuate]\nreason = 0x8B\n[limits]\nidle_hours = 1"), "");
  EXPECT_EQ(refusal_of("[limits]", "[health]\ncheck = \"tcp\"\n[limits]"), "");

  EXPECT_EQ(refusal_of("flows = 1000", "flows = 1001\ngroups = 9\nidle_hours = 9"),
            "[limits] flows, [limits] groups cannot change while remorad runs; restart it to apply "
            "the change");
  EXPECT_NE(refusal_of("[limits]", "[store]\nretention_days = 1\n[limits]"), "");
  EXPECT_NE(refusal_of("[limits]", "[health]\nnetworks = \"198.19.0.0/16\"\n[limits]"), "");
  EXPECT_EQ(refusal_of("\"eth0\"", "\"eth0\"\nxdp_mode = \"generic\"\nring = \"maglev\""),
            "[lb] xdp_mode, [lb] ring cannot change while remorad runs; stop it, run remorad "
            "--detach with the old file, and start it with the new one");
}

}  // namespace
}  // namespace remora
