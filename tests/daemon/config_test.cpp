// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace remora {
namespace {

using std::string_view_literals::operator""sv;

// The smallest configuration that is accepted; the cases below insert lines.
constexpr std::string_view kMinimal = R"([lb]
interface = "eth0"

[[service]]
name = "mqtt"
address = "10.1.50.200"
port = 1883
default_group = "default"

[[group]]
name = "default"
vip = "10.1.50.203"
reals = [ { address = "10.1.3.105" } ]
)";

// kMinimal with its line `line`, from 1, replaced.
std::string with_line(std::size_t line, std::string_view replacement) {
  std::string text(kMinimal);
  std::size_t begin = 0;
  for (; line > 1; --line) begin = text.find('\n', begin) + 1;
  return text.replace(begin, text.find('\n', begin) - begin, replacement);
}

// kMinimal followed by a text that begins at line 14.
std::string and_then(std::string_view addition) {
  return std::string(kMinimal) + std::string(addition);
}

std::vector<Problem> problems_of(std::string_view text) {
  try {
    parse_config(text, "remora.toml");
  } catch (const ConfigError& error) {
    return error.problems();
  }
  return {};
}

struct Invalid {
  std::string text;
  std::uint32_t line;
  std::vector<std::string_view> words;  // the message must contain all of them
};

// Each of `cases` must be refused with exactly this problem.
void expect_refused(const std::vector<Invalid>& cases) {
  for (const auto& [text, line, words] : cases) {
    const auto problems = problems_of(text);
    ASSERT_EQ(problems.size(), 1u)
        << text << (problems.size() > 1 ? problems[0].text + "\n" + problems[1].text : "");
    EXPECT_EQ(problems[0].line, line) << problems[0].text << "\n" << text;
    for (const std::string_view word : words)
      EXPECT_NE(problems[0].text.find(word), std::string::npos)
          << "no \"" << word << "\" in: " << problems[0].text;
    EXPECT_EQ(problems[0].text.find('\n'), std::string::npos);
  }
}

TEST(ConfigTest, TheSmallestFileHasTheDefaults) {
  const Config config = parse_config(kMinimal, "remora.toml");

  EXPECT_EQ(config.file, "remora.toml");
  EXPECT_EQ(config.text, kMinimal);
  EXPECT_EQ(config.lb.interface, "eth0");
  EXPECT_EQ(config.line_of("lb"), 1u);
  EXPECT_EQ(config.line_of("lb", "interface"), 2u);
  EXPECT_EQ(config.line_of("lb", "instance"), 0u);
  EXPECT_EQ(config.lb.instance, "eth0");
  EXPECT_EQ(config.lb.gateway_mac, std::nullopt);
  EXPECT_EQ(config.lb.xdp_mode, XdpMode::kNative);
  EXPECT_EQ(config.lb.forwarder, ForwarderKind::kEmbedded);

  ASSERT_EQ(config.services.size(), 1u);
  EXPECT_EQ(config.services[0].name, "mqtt");
  EXPECT_EQ(to_string(config.services[0].address), "10.1.50.200");
  EXPECT_EQ(config.services[0].port, 1883);
  EXPECT_EQ(config.services[0].default_group, "default");
  EXPECT_EQ(config.services[0].line, 4u);

  ASSERT_EQ(config.groups.size(), 1u);
  EXPECT_EQ(config.groups[0].line, 10u);
  ASSERT_EQ(config.groups[0].reals.size(), 1u);
  EXPECT_EQ(to_string(config.groups[0].reals[0].address), "10.1.3.105");
  EXPECT_EQ(config.groups[0].reals[0].weight, 1u);
  EXPECT_EQ(config.groups[0].reals[0].line, 13u);

  EXPECT_TRUE(config.routes.empty());
  EXPECT_TRUE(config.warnings.empty());
  EXPECT_EQ(policy_of(config, config.groups[0]), Policy::kReset);
  EXPECT_EQ(config.mispredict.resets_per_second, 1000u);
  EXPECT_EQ(config.mispredict.resets_per_client, 3u);
  EXPECT_EQ(config.limits.clients, 1'000'000u);
  EXPECT_EQ(config.limits.flows, 1'000'000u);
  EXPECT_EQ(config.limits.half_open, 65'536u);
  EXPECT_EQ(config.limits.topics, 8192u);
  EXPECT_EQ(config.limits.early_segments, 8192u);
  EXPECT_EQ(config.limits.groups, 64u);
  EXPECT_EQ(config.limits.idle_hours, 24u);
  EXPECT_EQ(config.limits.connections_per_client, 1024u);
  EXPECT_EQ(config.limits.events_kib, 8192u);
  EXPECT_EQ(config.store.path, "/var/lib/remora/history.db");
  EXPECT_EQ(config.store.retention_days, 90u);
  EXPECT_EQ(config.store.max_mib, 2048u);
  EXPECT_EQ(config.store.events_per_minute, 10u);
}

TEST(ConfigTest, EveryKeyIsRead) {
  const Config config = parse_config(R"([lb]
interface = "eth0.100"
instance = "lb-1"
gateway_mac = "02:42:AC:11:00:01"
xdp_mode = "generic"
forwarder = "embedded"
[[service]]
name = "one"
address = "10.1.50.200"
port = 1883
default_group = "a"
unknown_clients = "router"
[[service]]
name = "two"
address = "10.1.50.200"
port = 1884
default_group = "b"
[[group]]
name = "a"
vip = "10.1.50.201"
policy = "keep"
reals = [
  { address = "10.1.3.101", weight = 1000 },
  { address = "10.1.3.102" },
]
[[group]]
name = "b"
vip = "10.1.50.202"
affinity = "client"
reals = [ { address = "10.1.3.101" } ]
[[route]]
filter = "température/#"
group = "a"
[[route]]
filter = "#"
group = "b"
[mispredict]
policy = "drop"
resets_per_second = 10
resets_per_client = 1
[limits]
clients = 1_000
flows = 2_000
half_open = 4096
topics = 1024
early_segments = 2048
groups = 2
idle_hours = 1
connections_per_client = 5
events_kib = 64
[store]
path = "/tmp/history.db"
retention_days = 7
max_mib = 100
events_per_minute = 1
)",
                                     "remora.toml");

  EXPECT_EQ(config.lb.interface, "eth0.100");
  EXPECT_EQ(config.lb.instance, "lb-1");
  ASSERT_TRUE(config.lb.gateway_mac);
  EXPECT_EQ(to_string(*config.lb.gateway_mac), "02:42:ac:11:00:01");
  EXPECT_EQ(config.lb.xdp_mode, XdpMode::kGeneric);
  ASSERT_EQ(config.services.size(), 2u);
  EXPECT_EQ(config.services[1].port, 1884);
  ASSERT_EQ(config.groups.size(), 2u);
  ASSERT_EQ(config.groups[0].reals.size(), 2u);
  EXPECT_EQ(config.groups[0].reals[0].weight, 1000u);
  EXPECT_EQ(config.groups[0].reals[1].line, 24u);
  EXPECT_EQ(policy_of(config, config.groups[0]), Policy::kKeep);
  EXPECT_EQ(policy_of(config, config.groups[1]), Policy::kDrop);
  EXPECT_EQ(to_string(Policy::kDrop), "drop");
  EXPECT_EQ(config.groups[0].affinity, Affinity::kPerConnection);
  EXPECT_EQ(config.groups[1].affinity, Affinity::kPerClient);
  ASSERT_EQ(config.routes.size(), 2u);
  EXPECT_EQ(config.routes[0].filter, "température/#");
  EXPECT_EQ(config.routes[1].group, "b");
  EXPECT_EQ(config.routes[1].line, 34u);
  EXPECT_EQ(config.mispredict.resets_per_second, 10u);
  EXPECT_EQ(config.mispredict.resets_per_client, 1u);
  EXPECT_EQ(config.limits.clients, 1000u);
  EXPECT_EQ(config.limits.flows, 2000u);
  EXPECT_EQ(config.limits.half_open, 4096u);
  EXPECT_EQ(config.limits.topics, 1024u);
  EXPECT_EQ(config.limits.early_segments, 2048u);
  EXPECT_EQ(config.limits.groups, 2u);
  EXPECT_EQ(config.limits.idle_hours, 1u);
  EXPECT_EQ(config.limits.connections_per_client, 5u);
  EXPECT_EQ(config.limits.events_kib, 64u);
  EXPECT_EQ(config.line_of("limits"), 41u);
  EXPECT_EQ(config.store.path, "/tmp/history.db");
  EXPECT_EQ(config.store.retention_days, 7u);
  EXPECT_EQ(config.store.max_mib, 100u);
  EXPECT_EQ(config.store.events_per_minute, 1u);
  EXPECT_TRUE(config.warnings.empty());
}

TEST(ConfigTest, RefusesWhatIsNotToml) {
  expect_refused({
      {with_line(7, "port = "), 7, {"not TOML"}},
      {with_line(7, "port: 1883"), 7, {"not TOML"}},
      {with_line(2, "interface = \"eth0"), 2, {"not TOML"}},
      {with_line(8, "port = 1883\nport = 1884"), 8, {"not TOML"}},
      {"\x7f\x45\x4c\x46\x02\x01", 1, {"not TOML"}},
      {std::string("[lb]\n\0", 6), 2, {"not TOML"}},
      {"[lb]\ninterface = \"\xff\"", 2, {"not TOML"}},
  });
}

TEST(ConfigTest, RefusesUnknownKeysAndTables) {
  expect_refused({
      {with_line(6, "adress = \"10.1.50.200\"\naddress = \"10.1.50.200\""),
       6,
       {"unknown key \"adress\" in [[service]]", "did you mean \"address\"?",
        "Known keys: name, address, port, default_group, unknown_clients"}},
      {with_line(2, "interface = \"eth0\"\ncolour = 3"), 3, {"\"colour\" in [lb]", "Known keys"}},
      {with_line(2, "interface = \"eth0\"\nflows = 3"), 3, {"\"flows\"", "belongs in [limits]"}},
      {with_line(13, "reals = [ { address = \"10.1.3.105\", wieght = 2 } ]"),
       13,
       {"\"wieght\"", "\"reals\"", "did you mean \"weight\"?"}},
      {and_then("[limit]\nflows = 1"), 14, {"unknown table \"limit\"", "\"limits\""}},
      {and_then("[[services]]\n"), 14, {"unknown table \"services\"", "\"service\""}},
      {with_line(2, "interface = \"eth0\"\npolicy = \"keep\""),
       3,
       {"\"policy\" in [lb]", "belongs in [[group]] or [mispredict]"}},
      {and_then("[cluster]\n"), 14, {"unknown table \"cluster\"", "[mispredict]"}},
      {"retention_days = 3\n" + std::string(kMinimal),
       1,
       {"\"retention_days\" outside of a table", "[store]"}},
      {and_then("[store.more]\nx = 1"), 14, {"unknown key \"more\" in [store]"}},
  });
}

TEST(ConfigTest, RefusesWrongTypes) {
  expect_refused({
      {with_line(7, "port = \"1883\""), 7, {"\"port\"", "integer, not a string", "port = 1883"}},
      {with_line(7, "port = 1883.0"), 7, {"integer, not a number with a fraction"}},
      {with_line(5, "name = 5"), 5, {"\"name\"", "string, not an integer"}},
      {with_line(5, "name = true"), 5, {"string, not true or false"}},
      {with_line(5, "name = 2026-11-01"), 5, {"string, not a date or time"}},
      {with_line(13, "reals = \"10.1.3.105\""), 13, {"array of tables, not a string"}},
      {with_line(13, "reals = [\n\"10.1.3.105\" ]"), 14, {"must hold tables, not a string"}},
      {with_line(1, "[[lb]]"), 1, {"must be one table; write [lb]"}},
      {with_line(1, "limits = 5\n[lb]"), 1, {"write [limits]"}},
      {with_line(1, "route = [ 1 ]\n[lb]"), 1, {"write [[route]]"}},
      {and_then("[route]\nfilter = \"a\"\ngroup = \"default\""), 14, {"write [[route]]"}},
  });
}

TEST(ConfigTest, RefusesNumbersOutOfRange) {
  expect_refused({
      {with_line(7, "port = 0"), 7, {"is 0", "from 1 to 65535"}},
      {with_line(7, "port = 65536"), 7, {"is 65536", "from 1 to 65535"}},
      {with_line(7, "port = -1"), 7, {"is -1"}},
      {with_line(7, "port = 9223372036854775807"), 7, {"from 1 to 65535"}},
      {with_line(13, "reals = [ { address = \"10.1.3.105\", weight = 0 } ]"),
       13,
       {"\"weight\"", "from 1 to 1000"}},
      {with_line(13, "reals = [ { address = \"10.1.3.105\", weight = 1001 } ]"),
       13,
       {"from 1 to 1000"}},
      {and_then("[mispredict]\nresets_per_second = 0"), 15, {"from 1 to 1000000"}},
      {and_then("[mispredict]\nresets_per_client = 1001"), 15, {"from 1 to 1000"}},
      {and_then("[limits]\nclients = 0"), 15, {"from 1 to 100000000"}},
      {and_then("[limits]\nflows = 100_000_001"), 15, {"from 1 to 100000000"}},
      {and_then("[limits]\nhalf_open = 1"), 15, {"from 1024"}},
      {and_then("[limits]\ntopics = 1000"), 15, {"from 1024 to 1048576"}},
      {and_then("[limits]\nearly_segments = 2000000"), 15, {"from 1024 to 1048576"}},
      {and_then("[limits]\ngroups = 513"), 15, {"from 1 to 512"}},
      {and_then("[limits]\nidle_hours = 0"), 15, {"from 1 to 8760"}},
      {and_then("[limits]\nconnections_per_client = 0"), 15, {"from 1 to"}},
      {and_then("[limits]\nevents_kib = 63"), 15, {"from 64"}},
      {and_then("[limits]\nevents_kib = 5000"), 15, {"power of two", "4096 or 8192"}},
      {and_then("[store]\nretention_days = 0"), 15, {"from 1 to 36500"}},
      {and_then("[store]\nmax_mib = 15"), 15, {"from 16 to"}},
      {and_then("[store]\nevents_per_minute = 0"), 15, {"from 1 to"}},
  });
}

TEST(ConfigTest, RefusesWhatIsMissing) {
  const std::string no_group = std::string(kMinimal.substr(0, kMinimal.find("[[group]]")));
  expect_refused({
      {with_line(2, ""), 1, {"[lb] has no \"interface\"", "interface = \"eth0\""}},
      {with_line(5, ""), 4, {"[[service]] has no \"name\""}},
      {with_line(6, ""), 4, {"[[service]] has no \"address\""}},
      {with_line(7, ""), 4, {"[[service]] has no \"port\"", "port = 1883"}},
      {with_line(8, ""), 4, {"[[service]] has no \"default_group\""}},
      {with_line(13, ""), 10, {"[[group]] has no \"reals\"", "{ address ="}},
      {with_line(13, "reals = []"), 13, {"\"reals\"", "is empty"}},
      {with_line(13, "reals = [ { weight = 2 } ]"), 13, {"has no \"address\""}},
      {and_then("[[route]]\ngroup = \"default\""), 14, {"[[route]] has no \"filter\""}},
      {and_then("[[route]]\nfilter = \"a\""), 14, {"[[route]] has no \"group\""}},
      {std::string(kMinimal.substr(kMinimal.find("[[service]]"))), 0, {"no [lb]"}},
      {"[lb]\ninterface = \"eth0\"\n" + std::string(kMinimal.substr(kMinimal.find("[[group]]"))),
       0,
       {"no [[service]]"}},
      {"service = []\n[lb]\ninterface = \"eth0\"\n" +
           std::string(kMinimal.substr(kMinimal.find("[[group]]"))),
       1,
       {"[[service]]"}},
  });
  const auto problems = problems_of(no_group);
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_NE(problems[0].text.find("unknown group \"default\""), std::string::npos);
  EXPECT_NE(problems[1].text.find("no [[group]]"), std::string::npos);
  EXPECT_EQ(problems_of("").size(), 3u);
}

TEST(ConfigTest, RefusesBadNames) {
  const std::string long_name(64, 'n');
  expect_refused({
      {with_line(5, "name = \"\""), 5, {"\"name\"", "1 to 63", "A-Z a-z 0-9 _ . -"}},
      {with_line(5, "name = \"a b\""), 5, {"\"a b\"", "1 to 63"}},
      {with_line(5, "name = \"a/b\""), 5, {"1 to 63"}},
      {with_line(5, "name = \"é\""), 5, {"1 to 63"}},
      {with_line(5, "name = \"a\\nb\""), 5, {"\"a\\x0ab\"", "1 to 63"}},
      {with_line(5, "name = \"\\u009b2Jé\""), 5, {"\"\\xc2\\x9b2Jé\"", "1 to 63"}},
      {with_line(5, "name = \"" + long_name + "\""), 5, {"1 to 63"}},
      {with_line(2, "interface = \"\""), 2, {"network interface"}},
      {with_line(2, "interface = \"a-much-too-long-name\""), 2, {"1 to 15"}},
      {with_line(2, "interface = \"eth/0\""), 2, {"network interface"}},
      {with_line(2, "interface = \"eth0\"\ninstance = \"a/b\""), 3, {"\"instance\"", "1 to 63"}},
      {with_line(2, "interface = \"eth0\"\ninstance = \"..\""), 3, {"no dots"}},
      {with_line(2, "interface = \"eth0\"\ninstance = \"\""), 3, {"1 to 63"}},
      {with_line(2, "interface = \"eth0.100\""), 2, {"\"instance\"", "is needed", "eth0.100"}},
      {and_then("[store]\npath = \"history.db\""), 15, {"\"history.db\"", "absolute path"}},
      {and_then("[store]\npath = \"/var/lib/\""), 15, {"absolute path of a file"}},
      {and_then("[store]\npath = \"/a\\u0000b\""), 15, {"absolute path"}},
  });
}

TEST(ConfigTest, RefusesBadAddresses) {
  const auto mac = [](std::string_view text) {
    return with_line(2, "interface = \"eth0\"\ngateway_mac = \"" + std::string(text) + "\"");
  };
  expect_refused({
      {with_line(6, "address = \"10.1.50\""), 6, {"\"10.1.50\"", "not an IPv4 or IPv6 address"}},
      {with_line(6, "address = \"10.1.50.200:1883\""), 6, {"not an IPv4 or IPv6 address"}},
      {with_line(6, "address = \"broker.example\""), 6, {"not an IPv4 or IPv6 address"}},
      {with_line(6, "address = \"[fc00::1]:1883\""), 6, {"not an IPv4 or IPv6 address"}},
      {with_line(6, "address = \"::\""), 6, {"a host's own address"}},
      {with_line(12, "vip = \"::1\""), 12, {"\"vip\"", "a host's own address"}},
      {with_line(12, "vip = \"ff02::1\""), 12, {"\"vip\"", "a host's own address"}},
      {with_line(13, "reals = [\n{ address = \"fe80::1\" } ]"), 14, {"not a link-local one"}},
      {with_line(6, "address = \"0.0.0.0\""), 6, {"a host's own address"}},
      {with_line(6, "address = \"127.0.0.1\""), 6, {"a host's own address"}},
      {with_line(12, "vip = \"224.0.0.1\""), 12, {"a host's own address"}},
      {with_line(12, "vip = \"255.255.255.255\""), 12, {"a host's own address"}},
      {mac("02:42:ac:11:00"), 3, {"not an Ethernet address", "\"auto\""}},
      {mac("Auto"), 3, {"not an Ethernet address"}},
      {mac("00:00:00:00:00:00"), 3, {"belongs to nobody"}},
      {mac("ff:ff:ff:ff:ff:ff"), 3, {"multicast"}},
  });
}

TEST(ConfigTest, AnIpv6ServiceNeedsIpv6Reals) {
  const std::string service6 = with_line(6, "address = \"fc00:50::200\"");
  const auto group_b = [](std::string_view reals) {
    return "[[group]]\nname = \"b\"\nvip = \"fc00:50::202\"\nreals = [ " + std::string(reals) +
           " ]\n[[route]]\nfilter = \"b\"\ngroup = \"b\"\n";
  };
  const auto reals6 = [](std::string text) {
    return text.replace(text.find("10.1.3.105"), 10, "fc00:3::105");
  };
  const std::string second_service =
      "[[service]]\nname = \"six\"\naddress = \"fc00:50::200\"\nport = 1883\n"
      "default_group = \"default\"\n";

  expect_refused({
      {service6, 13, {"real 10.1.3.105 is IPv4", "service in line 6 is IPv6", "IPv6 addresses"}},
      {and_then(second_service), 13, {"real 10.1.3.105", "line 16"}},
      // A route can lead any service to any group.
      {reals6(service6) + group_b("{ address = \"fc00:3::1\" },\n{ address = \"10.1.3.1\" }"),
       18,
       {"real 10.1.3.1 "}},
  });
  for (const std::string& text :
       {reals6(service6), reals6(std::string(kMinimal)), reals6(and_then(second_service)),
        reals6(with_line(12, "vip = \"fc00:50::201\"")),
        and_then(group_b("{ address = \"10.1.3.1\" }, { address = \"fc00:3::1\" }"))})
    EXPECT_TRUE(problems_of(text).empty()) << text;
  EXPECT_EQ(to_string(parse_config(reals6(service6), "remora.toml").services[0].address),
            "fc00:50::200");
}

TEST(ConfigTest, OuterSourceIsKatransUnlessItIsGiven) {
  const auto source = [](std::string_view value) {
    return with_line(2, "interface = \"eth0\"\nouter_source = " + std::string(value));
  };
  const auto read = [&](std::string_view value) {
    return parse_config(source(value), "remora.toml").lb;
  };

  EXPECT_FALSE(parse_config(kMinimal, "remora.toml").lb.outer_source4);
  EXPECT_FALSE(read("\"katran\"").outer_source4);
  EXPECT_FALSE(read("\"katran\"").outer_source6);
  EXPECT_EQ(to_string(read("\"10.1.2.2\"").outer_source4.value()), "10.1.2.2");
  EXPECT_FALSE(read("\"10.1.2.2\"").outer_source6);
  EXPECT_EQ(to_string(read("[ \"fc00:2::2\" ]").outer_source6.value()), "fc00:2::2");
  EXPECT_EQ(to_string(read("[ \"fc00:2::2\", \"10.1.2.2\" ]").outer_source4.value()), "10.1.2.2");

  expect_refused({
      {source("\"Katran\""), 3, {"\"Katran\"", "not an IPv4 or IPv6", "\"katran\" alone"}},
      {source("[ \"katran\",\n\"10.1.2.2\" ]"), 3, {"\"katran\" alone"}},
      {source("\"fe80::1\""), 3, {"link-local"}},
      {source("[ \"10.1.2.2\",\n\"10.1.2.3\" ]"),
       4,
       {"\"10.1.2.3\" and 10.1.2.2", "one address of each family"}},
      {source("[]"), 3, {"\"outer_source\" of [lb] is empty"}},
      {source("5"), 3, {"a string or an array of strings, not an integer"}},
      {source("[ 5 ]"), 3, {"must hold strings, not an integer"}},
      {source("\"10.1.50.200\""), 3, {"outer_source 10.1.50.200", "service", "line 7"}},
      {source("\"10.1.50.203\""), 3, {"outer_source 10.1.50.203", "vip", "line 13"}},
      {source("\"10.1.3.105\""), 3, {"outer_source 10.1.3.105", "real", "line 14"}},
  });
}

TEST(ConfigTest, RefusesBadFilters) {
  const auto route = [](std::string_view filter) {
    return and_then("[[route]]\nfilter = \"" + std::string(filter) + "\"\ngroup = \"default\"");
  };
  expect_refused({
      {route("a/#/b"), 15, {"\"a/#/b\"", "not a valid topic filter", "last level"}},
      {route("a#"), 15, {"whole level"}},
      {route("a+"), 15, {"\"a+\"", "not a valid topic filter", "whole level"}},
      {route(""), 15, {"empty"}},
      {route("a\\u0000b"), 15, {"U+0000"}},
      {route(std::string(65536, 'a')), 15, {"65536 bytes", "65535"}},
  });
  for (const auto& filter :
       {std::string("a"), std::string("a/#"), std::string("#"), std::string("/"), std::string("/#"),
        std::string(1536, 'a') + "/#", std::string("+"), std::string("+/temperature"),
        std::string("a/+/#"), std::string(65533, 'a') + "/#"})
    EXPECT_TRUE(problems_of(route(filter)).empty()) << filter;
}

TEST(ConfigTest, RefusesWhatIsNotYetAvailable) {
  expect_refused({
      {and_then("[mispredict]\npolicy = \"takeover\""),
       15,
       {"\"takeover\" is not yet available", "available: reset, keep, drop"}},
      {with_line(12, "vip = \"10.1.50.203\"\npolicy = \"takeover\""), 13, {"not yet available"}},
  });
}

TEST(ConfigTest, RefusesUnknownWords) {
  expect_refused({
      {and_then("[mispredict]\npolicy = \"rest\""), 15, {"did you mean \"reset\"?"}},
      {and_then("[mispredict]\npolicy = \"explode\""), 15, {"available: reset, keep, drop"}},
      {with_line(2, "interface = \"eth0\"\nxdp_mode = \"skb\""), 3, {"native, generic"}},
      {with_line(2, "interface = \"eth0\"\nforwarder = \"\""),
       3,
       {"available: embedded, katran-object, katran-shared"}},
      {with_line(8, "default_group = \"default\"\nunknown_clients = \"x\""),
       9,
       {"default, router"}},
  });
}

TEST(ConfigTest, TakesEitherRing) {
  EXPECT_EQ(parse_config(with_line(2, "interface = \"eth0\""), "remora.toml").lb.ring,
            RingVariant::kMaglevV2);
  EXPECT_EQ(
      parse_config(with_line(2, "interface = \"eth0\"\nring = \"maglev\""), "remora.toml").lb.ring,
      RingVariant::kMaglev);
  expect_refused({
      {with_line(2, "interface = \"eth0\"\nring = \"v2\""), 3, {"available: maglev-v2, maglev"}},
  });
}

TEST(ConfigTest, OnlyKatranNeedsVips) {
  const Config config = parse_config(with_line(12, ""), "remora.toml");
  EXPECT_TRUE(config.groups.at(0).vip.is_unspecified());
}

TEST(ConfigTest, TakesAKatranObject) {
  const Config config =
      parse_config(with_line(2,
                             "interface = \"eth0\"\nforwarder = \"katran-object\"\n"
                             "katran_object = \"/k/balancer.bpf.o\""),
                   "remora.toml");
  EXPECT_EQ(config.lb.forwarder, ForwarderKind::kKatranObject);
  EXPECT_EQ(config.lb.katran_object, "/k/balancer.bpf.o");
}

// With a Katran server no group lists reals: they are in the server's own configuration.
TEST(ConfigTest, TakesAKatranServer) {
  std::string text = with_line(2,
                               "interface = \"eth0\"\nforwarder = \"katran-shared\"\n"
                               "katran_root_array = \"/sys/fs/bpf/jmp_eth0\"");
  const std::size_t reals = text.find("reals = ");
  const std::string with_reals = text;
  text.erase(reals, text.find('\n', reals) - reals);

  const Config config = parse_config(text, "remora.toml");

  EXPECT_EQ(config.lb.forwarder, ForwarderKind::kKatranShared);
  EXPECT_EQ(config.lb.katran_root_array, "/sys/fs/bpf/jmp_eth0");
  EXPECT_TRUE(config.groups.at(0).reals.empty());
  std::string without_array = text;
  without_array.erase(
      text.find("katran_root_array"),
      text.find("\n", text.find("katran_root_array")) - text.find("katran_root_array"));
  expect_refused({
      {without_array, 1, {"\"katran_root_array\"", "is needed"}},
      {with_reals, 12, {"leave \"reals\" out"}},
  });
}

TEST(ConfigTest, RefusesWhatKatranCannotDo) {
  const std::string katran =
      "interface = \"eth0\"\nforwarder = \"katran-object\"\nkatran_object = \"/k.o\"";
  const std::string second =
      "[[service]]\nname = \"second\"\naddress = \"10.1.50.210\"\nport = 1883\n"
      "default_group = \"default\"\n";
  const std::string ipv6 =
      "[[group]]\nname = \"six\"\nvip = \"fc00:50::203\"\nreals = [ { address = \"fc00::1\" } ]\n";
  std::string without_vip = with_line(2, katran);
  without_vip.erase(without_vip.find("vip = "), std::string("vip = \"10.1.50.203\"\n").size());
  expect_refused({
      {with_line(2, "interface = \"eth0\"\nforwarder = \"katran-object\""),
       1,
       {"\"katran_object\"", "is needed"}},
      {with_line(2, katran + "\nouter_source = \"10.1.2.2\""), 5, {"embedded forwarder only"}},
      {without_vip, 12, {"[[group]] has no \"vip\"", "Katran"}},
      {with_line(2, katran) + second, 16, {"a port of its own"}},
      {with_line(2, katran) + ipv6, 16, {"a VIP must be of the services' family, which is IPv4"}},
  });
}

TEST(ConfigTest, RefusesWhatContradictsItself) {
  const std::string group_b = "[[group]]\nname = \"b\"\n";
  const std::string route = "[[route]]\nfilter = \"a/#\"\ngroup = \"default\"\n";
  const std::string service = "[[service]]\nname = \"two\"\naddress = \"10.1.50.200\"\n";
  expect_refused({
      {with_line(8, "default_group = \"defualt\""),
       8,
       {"unknown group \"defualt\"", "did you mean \"default\"?"}},
      {and_then("[[route]]\nfilter = \"a\"\ngroup = \"humidity\""),
       16,
       {"unknown group \"humidity\"", "add a [[group]]"}},
      {and_then(route + route), 18, {"\"a/#\" exists already, in line 15"}},
      {and_then("[[group]]\nname = \"default\"\nvip = \"10.1.50.204\"\n"
                "reals = [ { address = \"10.1.3.1\" } ]"),
       15,
       {"group \"default\" exists already, in line 11"}},
      {and_then(group_b + "vip = \"10.1.50.203\"\nreals = [ { address = \"10.1.3.1\" } ]"),
       16,
       {"vip 10.1.50.203", "line 12"}},
      {with_line(12, "vip = \"10.1.50.200\""), 12, {"vip 10.1.50.200", "service", "line 6"}},
      {with_line(13, "reals = [ { address = \"10.1.50.200\" } ]"), 13, {"service", "line 6"}},
      {with_line(13, "reals = [ { address = \"10.1.50.203\" } ]"), 13, {"vip", "line 12"}},
      {with_line(13, "reals = [ { address = \"10.1.3.1\" },\n{ address = \"10.1.3.1\" } ]"),
       14,
       {"real 10.1.3.1", "line 13", "weight"}},
      {and_then(service + "port = 1883\ndefault_group = \"default\""),
       16,
       {"10.1.50.200", "1883", "line 6"}},
      {and_then("[[service]]\nname = \"mqtt\"\naddress = \"10.1.50.201\"\nport = 1883\n"
                "default_group = \"default\""),
       15,
       {"service \"mqtt\" exists already, in line 5"}},
      {and_then(group_b + "vip = \"10.1.50.204\"\nreals = [ { address = \"10.1.3.1\" } ]\n"
                          "[limits]\ngroups = 1"),
       14,
       {"2 groups", "groups = 1", "512"}},
  });
  EXPECT_TRUE(problems_of(and_then(service + "port = 1884\ndefault_group = \"default\"")).empty());
}

TEST(ConfigTest, RefusesWeightsThatLeaveARealWithoutSlots) {
  std::string reals = "reals = [ { address = \"10.1.3.200\" },";
  for (int i = 0; i < 70; ++i)
    reals += "\n{ address = \"10.1.3." + std::to_string(i) + "\", weight = 1000 },";
  expect_refused({{with_line(13, reals + " ]"), 10, {"weights", "65537 slots"}}});
}

TEST(ConfigTest, RefusesMoreThanTheTablesHold) {
  std::string routes;
  for (std::size_t i = 0; i <= kMaxRoutes; ++i)
    routes += "[[route]]\nfilter = \"t" + std::to_string(i) + "\"\ngroup = \"default\"\n";
  // Shapes of one more level each, up to the kernel's limit; the names do not count.
  std::string shapes;
  for (std::size_t i = 0; i <= MAX_SHAPES; ++i) {
    std::string filter = "/a";
    for (std::size_t level = 0; level < i / 3; ++level) filter += "/a";
    filter += i % 3 == 0 ? "/+" : i % 3 == 1 ? "/#" : "/+/#";
    for (const char* name : {"x", "y"})
      shapes += "[[route]]\nfilter = \"" + (name + filter) + "\"\ngroup = \"default\"\n";
  }
  std::string services;
  for (std::size_t port = 1; port <= kMaxServices; ++port)
    services += "[[service]]\nname = \"s" + std::to_string(port) +
                "\"\naddress = \"10.1.50.200\"\nport = " + std::to_string(port) +
                "\ndefault_group = \"default\"\n";
  std::string reals = "reals = [";
  for (std::size_t i = 0; i <= kMaxReals; ++i)
    reals +=
        "\n{ address = \"10.3." + std::to_string(i / 256) + "." + std::to_string(i % 256) + "\" },";
  expect_refused({
      {and_then(routes), 14 + 3 * kMaxRoutes, {"more than 65536 routes"}},
      {and_then(shapes), 14 + 6 * MAX_SHAPES, {"more than 64 shapes", "names do not count"}},
      {and_then(services), 14 + 5 * (kMaxServices - 1), {"more than 256 services"}},
      {with_line(13, reals + " ]"), 13 + kMaxReals + 1, {"more than 4095 brokers"}},
  });
}

TEST(ConfigTest, ReportsEverythingAtOnceInTheOrderOfTheFile) {
  const std::string text = R"([mispredict]
policy = "takeover"

[lb]
interfaces = "eth0"

[[service]]
name = "mqtt"
address = "10.1.50"
port = 70000
default_group = "nowhere"
)";
  try {
    parse_config(text, "/etc/remora/remora.toml");
    FAIL() << "accepted";
  } catch (const ConfigError& error) {
    std::vector<std::uint32_t> lines;
    for (const Problem& problem : error.problems()) lines.push_back(problem.line);
    EXPECT_EQ(lines, (std::vector<std::uint32_t>{2, 4, 5, 9, 10, 11, 0}));

    const std::string_view what = error.what();
    EXPECT_TRUE(what.starts_with("/etc/remora/remora.toml:2: policy = \"takeover\"")) << what;
    EXPECT_NE(what.find("\n/etc/remora/remora.toml:10: \"port\""), what.npos) << what;
    EXPECT_NE(what.find("\n/etc/remora/remora.toml: there is no [[group]]"), what.npos) << what;
  }
}

TEST(ConfigTest, WarnsOfAGroupThatGetsNothing) {
  const Config config = parse_config(and_then("[[group]]\nname = \"idle\"\nvip = \"10.1.50.204\"\n"
                                              "reals = [ { address = \"10.1.3.1\" } ]"),
                                     "remora.toml");
  ASSERT_EQ(config.warnings.size(), 1u);
  EXPECT_EQ(config.warnings[0].line, 14u);
  EXPECT_NE(config.warnings[0].text.find("\"idle\""), std::string::npos);
}

std::string in_shadow(std::string_view more) {
  return with_line(2, "interface = \"eth0\"\nmode = \"shadow\"") + std::string(more);
}

TEST(ConfigTest, ShadowModeGivesEachGroupTheRealsOfTheDefaultGroup) {
  const Config config = parse_config(in_shadow(R"(
[[group]]
name = "b"
reals = [ { address = "10.1.3.101" }, { address = "10.1.3.102" } ]
policy = "drop"
affinity = "client"
)"),
                                     "remora.toml");

  EXPECT_EQ(config.lb.mode, Mode::kShadow);
  ASSERT_EQ(config.groups[1].reals.size(), 1u);
  EXPECT_EQ(to_string(config.groups[1].reals[0].address), "10.1.3.105");
  EXPECT_EQ(config.groups[1].affinity, Affinity::kPerConnection);
  EXPECT_EQ(policy_of(config, config.groups[1]), Policy::kKeep);
  EXPECT_EQ(configured_policy_of(config, config.groups[1]), Policy::kDrop);
}

TEST(ConfigTest, ShadowModeRoutesNobody) {
  std::string text = in_shadow("");
  text.insert(text.find("port = 1883\n"), "unknown_clients = \"router\"\n");

  const Config config = parse_config(text, "remora.toml");

  EXPECT_EQ(config.services[0].unknown_clients, UnknownClients::kDefault);
}

TEST(ConfigTest, ShadowModeNeedsTheEmbeddedForwarder) {
  expect_refused(
      {{with_line(2,
                  "interface = \"eth0\"\nmode = \"shadow\"\nforwarder = \"katran-object\"\n"
                  "katran_object = \"/a.o\""),
        3,
        {"shadow", "Katran"}}});
}

TEST(ConfigTest, ShadowModeNeedsOneDefaultGroup) {
  expect_refused({{in_shadow(R"(
[[service]]
name = "other"
address = "10.1.50.201"
port = 1883
default_group = "b"

[[group]]
name = "b"
reals = [ { address = "10.1.3.101" } ]
)"),
                   3,
                   {"shadow", "one default_group", "\"default\"", "\"b\""}}});
}

TEST(ConfigTest, LongTextIsShortenedInMessages) {
  std::string name;
  for (int i = 0; i < 1000; ++i) name += "é";
  const auto problems = problems_of(with_line(5, "name = \"" + name + "\""));
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_LT(problems[0].text.size(), 300u);
}

// A file in a directory of its own, which is removed with the test.
class ConfigFileTest : public testing::Test {
 protected:
  ConfigFileTest() {
    std::string name = (std::filesystem::temp_directory_path() / "remora-config-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("mkdtemp " + name);
    folder_ = name;
  }
  ~ConfigFileTest() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
};

TEST_F(ConfigFileTest, IsReadFromDisk) {
  const auto path = folder_ / "remora.toml";
  std::ofstream(path) << kMinimal;

  const Config config = load_config(path);

  EXPECT_EQ(config.file, path.string());
  EXPECT_EQ(config.lb.interface, "eth0");
}

TEST_F(ConfigFileTest, ThatCannotBeReadIsRefused) {
  const std::pair<std::filesystem::path, std::string_view> cases[] = {
      {folder_ / "absent.toml", "No such file"},
      {folder_, "Is a directory"},
  };
  for (const auto& [path, words] : cases) {
    try {
      load_config(path);
      FAIL() << path << " was accepted";
    } catch (const ConfigError& error) {
      const std::string_view what = error.what();
      EXPECT_TRUE(what.starts_with(path.native() + ": ")) << what;
      EXPECT_NE(what.find(words), what.npos) << what;
    }
  }
}

}  // namespace
}  // namespace remora
