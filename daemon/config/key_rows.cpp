// SPDX-License-Identifier: Apache-2.0
//
// The keys of remora.toml: see keys.h.
#include "daemon/config/fields.h"

namespace remora {
namespace {

constexpr Table kTables[] = {
    {"lb", "[lb]"},         {"service", "[[service]]"},
    {"group", "[[group]]"}, {"group.reals", "an entry of \"reals\""},
    {"route", "[[route]]"}, {"mispredict", "[mispredict]"},
    {"router", "[router]"}, {"evacuate", "[evacuate]"},
    {"health", "[health]"}, {"limits", "[limits]"},
    {"store", "[store]"},
};

// ---- the words of keys ------------------------------------------------------------

constexpr auto forwarder_words() {
  std::array<Word, kForwarderKinds.size()> words;
  for (std::size_t i = 0; i < words.size(); ++i)
    words[i] = word(kForwarderKinds[i].word, kForwarderKinds[i].kind, kForwarderKinds[i].meaning);
  return words;
}
constexpr auto kForwarders = forwarder_words();

constexpr Word kModes[] = {
    word("active", Mode::kActive, "connections go where the predictions lead"),
    word("shadow", Mode::kShadow,
         "all connections go to the default group; what would happen is counted, and nothing is "
         "reset, dropped or routed"),
};

constexpr Word kRings[] = {
    word("maglev-v2", RingVariant::kMaglevV2,
         "in proportion to the weights, as Katran's server does"),
    word("maglev", RingVariant::kMaglev,
         "the default of Katran's library, in which weights have almost no effect"),
};

constexpr Word kUnknownClients[] = {
    word("default", UnknownClients::kDefault,
         "unknown clients go to `default_group` until they have published"),
    word("router", UnknownClients::kRouter,
         "the router serves them, so that each message reaches its group; brokers then see an "
         "address of the LB"),
};

constexpr Word kFurtherSessions[] = {
    word("same-id", FurtherSessions::kSameId, "the client's own, for brokers that share nothing"),
    word("suffixed-id", FurtherSessions::kSuffixedId,
         "the group's name is appended, for brokers of one cluster, which end a session when its "
         "identifier connects elsewhere"),
};

constexpr Word kSubscribeTo[] = {
    word("home", SubscribeTo::kHome, "to the client's first broker, which sees its group alone"),
    word("all", SubscribeTo::kAll, "to a broker of each group"),
};

constexpr Word kPolicies[] = {
    word("reset", Policy::kReset, "the client is reset, reconnects and reaches the right group"),
    word("keep", Policy::kKeep,
         "the connection stays on its broker; the client's next connection reaches the right "
         "group"),
    word("drop", Policy::kDrop,
         "all further packets of the connection are dropped until the client gives up"),
    planned_word("takeover"),
};

constexpr Word kAffinities[] = {
    word("connection", Affinity::kPerConnection,
         "a client's connections are spread over the group's brokers"),
    word("client", Affinity::kPerClient,
         "all connections of a client's address go to one broker, which finds their persistent "
         "sessions again, until the ring changes"),
};

constexpr Word kSessionEnds[] = {
    word("disconnect", SessionEnd::kDisconnect,
         "the messages before the mispredicted one are delivered, then Remora sends DISCONNECT "
         "and RST as the client, so the broker does not publish the Will"),
    word("reset", SessionEnd::kReset, "only a RST is sent, and the broker publishes the Will"),
};

constexpr Word kFarewells[] = {
    word("off", Farewell::kOff, "they are reset, and every client reconnects"),
    word("mqtt5", Farewell::kMqtt5,
         "an MQTT 5 client that is silent gets a DISCONNECT with `reason`; clients built on "
         "libmosquitto then give up instead of reconnecting"),
};

constexpr Word kChecks[] = {
    word("mqtt", CheckKind::kMqtt,
         "a TCP handshake, then on a second connection CONNECT, CONNACK, DISCONNECT (MQTT 3.1.1)"),
    word("tcp", CheckKind::kTcp,
         "the TCP handshake alone, which also succeeds if the broker accepts connections but "
         "serves nobody"),
    word("off", CheckKind::kOff, "no checks"),
};

// ---- the rows -----------------------------------------------------------------------

constexpr Key kRows[] = {
    {.table = "lb",
     .name = "interface",
     .field = text<&Config::lb, &Lb::interface>(interface_problem),
     .presence = Presence::kRequired,
     .change = Change::kDetach,
     .meaning = "The interface on which clients' packets arrive and from which packets for the "
                "brokers leave.",
     .example = "\"eth0\""},
    {.table = "lb",
     .name = "instance",
     .field = text<&Config::lb, &Lb::instance>(instance_problem),
     .change = Change::kDetach,
     .meaning = "The name of this Remora: its directory in the BPF file system, its lock and its "
                "socket.",
     .details = "1 to 63 of `A-Z a-z 0-9 _ -`. The BPF file system does not allow dots, so an "
                "interface such as `eth0.100` needs an `instance`.",
     .default_words = "the interface's name",
     .example = "\"lb1\""},
    {.table = "lb",
     .name = "mode",
     .field = one_of<kModes, &Config::lb, &Lb::mode>(),
     .change = Change::kDetach,
     .meaning = "Whether the predictions decide on connections, or are only tried.",
     .details = "`shadow` needs one default group for all services, and brokers only there: the "
                "`reals` of the other groups are not used. `policy` only names what would happen. "
                "It needs the embedded forwarder. "
                "[operations.md](operations.md#a-first-week-in-shadow-mode) has the steps."},
    {.table = "lb",
     .name = "gateway_mac",
     .field = kGateway,
     .meaning = "The Ethernet address to which packets for the brokers are sent: `auto` is that "
                "of the default route's gateway.",
     .details = "With `auto`, the IPv4 gateway counts if there is one, else the IPv6 gateway, and "
                "`remorad` follows its changes. A fixed address is never changed."},
    {.table = "lb",
     .name = "outer_source",
     .field = kOuterSource,
     .meaning = "The source of outer headers: `katran`, addresses that are not routed; or an "
                "address of the LB, or one of each family, to which routers can report "
                "\"fragmentation needed\".",
     .details = "`katran`: addresses in 172.16.0.0/16 and 100::/64 that differ from flow to flow. "
                "Or an address of the LB that routers can reach, IPv4 or IPv6, or one of each: "
                "`[ \"10.1.2.2\", \"fc00:2::2\" ]`. Remora then passes the routers' reports on to "
                "the client. A family that is not given keeps Katran's addresses.",
     .example = "[ \"10.1.2.2\", \"fc00:2::2\" ]"},
    {.table = "lb",
     .name = "xdp_mode",
     .field = one_of<kXdpModes, &Config::lb, &Lb::xdp_mode>(),
     .change = Change::kDetach,
     .meaning = "How XDP is attached to the interface."},
    {.table = "lb",
     .name = "forwarder",
     .field = one_of<kForwarders, &Config::lb, &Lb::forwarder>(),
     .change = Change::kRestart,
     .meaning = "The program that encapsulates the packets for the brokers.",
     .details = "With `katran-object`, every service needs a port of its own, and services and "
                "VIPs must be of one family. With `katran-shared`, the server runs with "
                "`-map_path` of `katran_root_array` and `-prog_pos 2`, and groups have no `reals` "
                "here. [katran.md](katran.md) has the steps."},
    {.table = "lb",
     .name = "ring",
     .field = one_of<kRings, &Config::lb, &Lb::ring>(),
     .change = Change::kRestart,
     .meaning = "How the slots of a VIP's ring are distributed over its reals.",
     .details = "All LBs behind one router must use the same. Not allowed with `katran-shared`, "
                "whose server has its own rings."},
    {.table = "lb",
     .name = "katran_object",
     .field = text<&Config::lb, &Lb::katran_object>(path_problem),
     .change = Change::kRestart,
     .meaning = "The absolute path of Katran's `balancer.bpf.o`, for `katran-object` only.",
     .default_words = "none",
     .example = "\"/usr/lib/katran/balancer.bpf.o\""},
    {.table = "lb",
     .name = "katran_root_array",
     .field = text<&Config::lb, &Lb::katran_root_array>(path_problem),
     .change = Change::kRestart,
     .meaning = "The absolute path of the pinned prog array in the BPF file system, for "
                "`katran-shared` only.",
     .details = "`remorad` creates it if it is missing, and otherwise uses it with the programs "
                "in it.",
     .default_words = "none",
     .example = "\"/sys/fs/bpf/jmp_eth0\""},

    {.table = "service",
     .name = "name",
     .field = text<&Service::name>(name_problem),
     .presence = Presence::kRequired,
     .meaning = "A label for people, unique: the service is known by its address and port.",
     .details = "1 to 63 of `A-Z a-z 0-9 _ . -`. A reload may change it without an effect on "
                "clients and connections.",
     .example = "\"mqtt\""},
    {.table = "service",
     .name = "address",
     .field = address_text<&Service::address>(),
     .presence = Presence::kRequired,
     .meaning = "The IPv4 or IPv6 address that clients connect to.",
     .details = "An IPv6 service needs IPv6 reals in all groups, because routes can lead it to any "
                "group.",
     .example = "\"10.1.50.200\""},
    {.table = "service",
     .name = "port",
     .field = number<&Service::port>({1, 65'535}),
     .presence = Presence::kRequired,
     .meaning = "The TCP port that clients connect to.",
     .details = "The pair of address and port is unique.",
     .example = "1883"},
    {.table = "service",
     .name = "default_group",
     .field = text<&Service::default_group>(name_problem),
     .presence = Presence::kRequired,
     .meaning = "The group for topics without a route, and for unknown clients that are not "
                "routed.",
     .example = "\"default\""},
    {.table = "service",
     .name = "unknown_clients",
     .field = one_of<kUnknownClients, &Service::unknown_clients>(),
     .meaning = "Where the connections of clients without a prediction go.",
     .details = "With `router`, clients of several groups and clients that share an address go "
                "there, too. While the router does not listen, or has reached a limit of "
                "`[router]`, they go where `default` sends them. With `katran-shared` only "
                "`default` is possible, and is the default."},
    {.table = "service",
     .name = "server_keep_alive",
     .field = number<&Service::server_keep_alive>({1, 65'535}),
     .meaning = "The longest keepalive that the brokers ask MQTT 5 clients for, in seconds.",
     .details = "A broker may replace the keepalive of an MQTT 5 client (MQTT 5.0 §3.2.2.3.14), "
                "and Remora does not see its answers. Set it to the brokers' own limit "
                "(`max_keepalive` of mosquitto), and a silent MQTT 5 connection is forgotten as "
                "early as others: after twice the longer of the two keepalives and 30 s.",
     .default_words = "not known: only `idle_hours` counts for MQTT 5",
     .example = "600"},

    {.table = "group",
     .name = "name",
     .field = text<&Group::name>(name_problem),
     .presence = Presence::kRequired,
     .meaning = "The group's name, unique, by which history and predictions identify it.",
     .details = "1 to 63 of `A-Z a-z 0-9 _ . -`.",
     .example = "\"temperature\""},
    {.table = "group",
     .name = "vip",
     .field = address_text<&Group::vip>(),
     .meaning = "Katran's VIP of the group: an address of its own, neither a service's nor a "
                "broker's.",
     .details = "Required with `katran-object` and `katran-shared`. The embedded forwarder does "
                "not need it and only displays it.",
     .default_words = "none",
     .example = "\"10.1.50.201\""},
    {.table = "group",
     .name = "reals",
     .field = kReals,
     .presence = Presence::kRequired,
     .meaning = "The brokers, at least one.",
     .details = "`{ address = \"10.1.3.101\", weight = 2 }`",
     .example = "[ { address = \"10.1.3.101\" } ]"},
    {.table = "group",
     .name = "policy",
     .field = one_of<kPolicies, &Group::policy>(),
     .meaning = "The treatment of a connection that publishes to a topic of this group, but "
                "belongs to another one.",
     .default_words = "`policy` of `[mispredict]`",
     .example = "\"keep\""},

    {.table = "group",
     .name = "affinity",
     .field = one_of<kAffinities, &Group::affinity>(),
     .meaning = "Whether a broker is chosen for each connection, or for each client address.",
     .details = "`client` costs balance: brokers share addresses instead of connections, and all "
                "clients behind one NAT address are on one broker. A broker that is drained, dead "
                "or added moves some clients, and their sessions stay behind. It is Katran's flag "
                "1 of a VIP (no source port). With `katran-object`, a change hashes the group's "
                "living connections anew. Not allowed with `katran-shared`, "
                "whose server has the flag (`NO_SPORT`)."},

    {.table = "group",
     .name = "proxy_port",
     .field = number<&Group::proxy_port>({1, 65'535}),
     .meaning = "The port at which the group's reals expect a PROXY header of version 2 from the "
                "router, which tells them the client's address.",
     .details = "The brokers need a listener of their own for it: mosquitto from 2.1 on, EMQX, "
                "VerneMQ and HiveMQ have that. It is used instead of the real's `port`; packets of "
                "clients that are not routed still go to the service's port.",
     .default_words = "none",
     .example = "1884"},

    {.table = "group.reals",
     .name = "address",
     .field = address_text<&Real::address>(),
     .presence = Presence::kRequired,
     .meaning = "The broker's own address, unique within the group.",
     .details = "A broker may belong to several groups. An IPv6 real serves IPv4 and IPv6 "
                "services, an IPv4 real only IPv4 services.",
     .example = "\"10.1.3.101\""},
    {.table = "group.reals",
     .name = "weight",
     .field = number<&Real::weight>({1, 1000}),
     .meaning = "The share of the group's clients: a real with twice the weight gets twice the "
                "clients.",
     .details = "Weights so far apart that a real would get none of the ring's 65537 slots are "
                "refused."},
    {.table = "group.reals",
     .name = "port",
     .field = number<&Real::port>({1, 65'535}),
     .meaning = "The port at which the router reaches the broker at its own address.",
     .default_words = "the service's `port`",
     .example = "1883"},

    {.table = "route",
     .name = "filter",
     .field = text<&Route::filter>(route_filter_problem),
     .presence = Presence::kRequired,
     .meaning = "An MQTT topic filter (MQTT 5.0 §4.7), unique.",
     .details = "At most 65535 bytes: a topic (`measurements/temperature`); `+` stands for any one "
                "level (`sensors/+/temperature`); `#` at the end stands for a level and everything "
                "below it (`measurements/#`). A filter that begins with a wildcard does not match "
                "topics that begin with `$`.",
     .example = "\"measurements/temperature\""},
    {.table = "route",
     .name = "group",
     .field = text<&Route::group>(name_problem),
     .presence = Presence::kRequired,
     .meaning = "The name of a `[[group]]`.",
     .example = "\"temperature\""},

    {.table = "mispredict",
     .name = "policy",
     .field = one_of<kPolicies, &Config::mispredict, &Mispredict::policy>(),
     .meaning = "The treatment of a connection that publishes to a topic of another group."},
    {.table = "mispredict",
     .name = "resets_per_second",
     .field = number<&Config::mispredict, &Mispredict::resets_per_second>({1, 1'000'000}),
     .meaning = "Resets per second, for all clients together; above this rate, connections are "
                "kept.",
     .details = "One network (an IPv4 /24 or an IPv6 /64) gets half of them at most."},
    {.table = "mispredict",
     .name = "resets_per_client",
     .field = number<&Config::mispredict, &Mispredict::resets_per_client>({1, 1000}),
     .meaning = "Resets per minute and client; above this rate, the client's connections are "
                "kept."},
    {.table = "mispredict",
     .name = "changes_per_day",
     .field = number<&Config::mispredict, &Mispredict::changes_per_day>({0, 14}),
     .meaning = "Changes between groups within a day after which a client's connections are kept, "
                "until a day has passed without one; 0: never.",
     .details = "Only changes that are certainly the client's own count. A reset helps such a "
                "client for one message, and costs more than it brings."},
    {.table = "mispredict",
     .name = "session_end",
     .field = one_of<kSessionEnds, &Config::mispredict, &Mispredict::session_end>(),
     .meaning = "How the session of a reset connection ends at the wrong broker."},

    {.table = "router",
     .name = "further_sessions",
     .field = one_of<kFurtherSessions, &Config::router, &Router::further_sessions>(),
     .change = Change::kRestart,
     .meaning = "The client identifier of a routed client's sessions at further brokers."},
    {.table = "router",
     .name = "subscribe",
     .field = one_of<kSubscribeTo, &Config::router, &Router::subscribe>(),
     .change = Change::kRestart,
     .meaning = "Where a routed client's subscriptions go."},
    {.table = "router",
     .name = "workers",
     .field = number<&Config::router, &Router::workers>({1, 64}),
     .change = Change::kRestart,
     .meaning = "Threads that serve the routed connections of a service."},
    {.table = "router",
     .name = "connections",
     .field = number<&Config::router, &Router::connections>({1, 1'000'000}),
     .change = Change::kRestart,
     .meaning = "Routed connections at a time; further clients take the usual way.",
     .details = "Each needs two descriptors and more (`LimitNOFILE` of the unit)."},
    {.table = "router",
     .name = "connections_per_second",
     .field = number<&Config::router, &Router::connections_per_second>({1, 1'000'000}),
     .meaning = "New connections per second, whether they are answered or not; further clients "
                "take the usual way."},
    {.table = "router",
     .name = "memory_mib",
     .field = number<&Config::router, &Router::memory_mib>({16, 65'536}),
     .change = Change::kRestart,
     .meaning = "Memory of all routed connections, in MiB, above which no new ones are taken and "
                "clients are read more slowly."},
    {.table = "router",
     .name = "sources",
     .field = kSources,
     .meaning = "The addresses of the LB from which the router connects to brokers; `auto`: the "
                "kernel chooses.",
     .details = "One address has ports for about 28 000 sessions at each real. Sessions are spread "
                "over the addresses of the real's family; a family without one is left to the "
                "kernel. Brokers see these addresses as their clients (access lists).",
     .example = "[ \"10.1.2.2\", \"10.1.2.3\" ]"},

    {.table = "evacuate",
     .name = "farewell",
     .field = one_of<kFarewells, &Config::evacuate, &Evacuate::farewell>(),
     .meaning = "Whether evacuated clients are told why they are cut off."},
    {.table = "evacuate",
     .name = "reason",
     .field = number<&Config::evacuate, &Evacuate::reason>({0, 255}, farewell_problem),
     .meaning = "The reason code of the DISCONNECT to an MQTT 5 client (MQTT 5.0 §3.14.2.1): "
                "`0x9C` use another server, `0x9D` server moved, `0x8B` server shutting down, "
                "`0x98` administrative action."},

    {.table = "health",
     .name = "check",
     .field = one_of<kChecks, &Config::health, &Health::check>(),
     .meaning = "How a broker is checked."},
    {.table = "health",
     .name = "interval_s",
     .field = number<&Config::health, &Health::interval_s>({1, 3600}),
     .meaning = "Seconds from one check of a real to the next."},
    {.table = "health",
     .name = "timeout_s",
     .field = number<&Config::health, &Health::timeout_s>({1, 60}),
     .meaning = "Seconds after which a check has failed.",
     .details = "At most `interval_s`, and at least 2 with `mqtt`: Paho, which runs these checks, "
                "notices an answer up to 1.1 s late."},
    {.table = "health",
     .name = "rise",
     .field = number<&Config::health, &Health::rise>({1, 100}),
     .meaning = "Successful checks in a row that make a dead real alive."},
    {.table = "health",
     .name = "fall",
     .field = number<&Config::health, &Health::fall>({1, 100}),
     .meaning = "Failed checks in a row that make a real dead."},
    {.table = "health",
     .name = "username",
     .field = text<&Config::health, &Health::username>(username_problem),
     .meaning = "The user name of the checks' CONNECT; empty: no credentials.",
     .details = "Without it, \"bad user name or password\" and \"not authorised\" (MQTT 3.1.1 "
                "§3.2.2.3) count as success, because the broker has answered. With it, they count "
                "as failure.",
     .example = "\"health\""},
    {.table = "health",
     .name = "password_file",
     .field = text<&Config::health, &Health::password_file>(password_file_problem),
     .meaning = "The absolute path of a file that contains only the password and that only root "
                "can read.",
     .details = "It is read at start and at a reload. Needs `username`.",
     .example = "\"/etc/remora/health.password\""},
    {.table = "health",
     .name = "client_id",
     .field = text<&Config::health, &Health::client_id>(name_problem),
     .meaning = "The prefix of the checks' client identifiers.",
     .details = "1 to 63 of `A-Z a-z 0-9 _ . -`; up to 13 digits and letters follow."},
    {.table = "health",
     .name = "networks",
     .field = kCheckNetworks,
     .change = Change::kRestart,
     .meaning = "Private addresses for checks to connect to: networks that are not used elsewhere, "
                "and different ones for each instance on a host.",
     .details = "At most one network per family; a family that is not given keeps its default. "
                "While `remorad` is attached, it routes these networks to the interface; no packet "
                "with such an address leaves the LB. They must have room for all checks and two "
                "more addresses.",
     .example = "[ \"198.18.0.0/16\" ]"},

    {.table = "limits",
     .name = "clients",
     .field = number<&Config::limits, &Limits::clients>({1, 100'000'000}),
     .change = Change::kRestart,
     .meaning = "Clients whose prediction the kernel holds.",
     .details = "The client not seen for longest makes room; the history keeps it. What is "
                "limited per client is counted in the same entry. The table is made of sets of "
                "eight, one ninth more than needed; 0.7 % of so many clients find no room.",
     .maps = "predictions"},
    {.table = "limits",
     .name = "flows",
     .field = number<&Config::limits, &Limits::flows>({1, 100'000'000}),
     .change = Change::kRestart,
     .meaning = "Established connections that are tracked.",
     .details = "When the table is full, connections that never went beyond their CONNECT give "
                "way to new ones; without such, new connections are forwarded but not tracked.",
     .maps = "flows places hints free_places"},
    {.table = "limits",
     .name = "half_open",
     .field = number<&Config::limits, &Limits::half_open>({1024, 16'777'216}),
     .change = Change::kRestart,
     .meaning = "Connections before their CONNECT.",
     .details = "The oldest entry makes room: one of a client without a prediction, if there is "
                "any. The table is made of sets of eight, twice as many as needed.",
     .maps = "half_open"},
    {.table = "limits",
     .name = "topics",
     .field = number<&Config::limits, &Limits::topics>({1024, 1'048'576}),
     .change = Change::kRestart,
     .meaning = "Incomplete topics of PUBLISHes that TCP split, and the topics of MQTT 5 topic "
                "aliases.",
     .details = "One entry per alias of a connection. The entry not used for longest makes room; "
                "the topic or alias that loses its entry is not judged (`TOPIC_LOST`, "
                "`TOPIC_ALIAS`).",
     .maps = "topics"},
    {.table = "limits",
     .name = "early_segments",
     .field = number<&Config::limits, &Limits::early_segments>({1024, 1'048'576}),
     .change = Change::kRestart,
     .meaning = "Segments that arrived ahead of a missing one.",
     .details = "One client may fill an eighth of them, one connection eight. The oldest "
                "makes room; its stream is then not judged until Remora finds a packet boundary "
                "again.",
     .maps = "early_segments"},
    {.table = "limits",
     .name = "groups",
     .field = number<&Config::limits, &Limits::groups>({1, kMaxGroups}),
     .change = Change::kRestart,
     .meaning = "Groups, each with a ring of 65537 slots.",
     .maps = "ch_rings"},
    {.table = "limits",
     .name = "idle_hours",
     .field = number<&Config::limits, &Limits::idle_hours>({1, 8760}),
     .meaning = "Hours without a packet from the client after which a connection is forgotten.",
     .details = "A connection with a keepalive is forgotten earlier: after twice the keepalive and "
                "30 s (brokers end it after 1.5 times the keepalive, MQTT 3.1.1 §3.1.2.10). For "
                "MQTT 5, see `server_keep_alive`."},
    {.table = "limits",
     .name = "connections_per_client",
     .field = number<&Config::limits, &Limits::connections_per_client>({1, 65'535}),
     .meaning = "Tracked connections per client address and service.",
     .details = "Connections above it are forwarded but not tracked."},
    {.table = "limits",
     .name = "events_kib",
     // The lowest value is a whole page on every machine.
     .field = number<&Config::limits, &Limits::events_kib>({64, 1'048'576}, ring_size_problem),
     .change = Change::kDetach,
     .meaning = "The ring from the kernel to `remorad`, in KiB: a power of two.",
     .details = "When it is full, records are lost and counted; forwarding continues.",
     .maps = "events"},

    {.table = "store",
     .name = "path",
     .field = text<&Config::store, &Store::path>(path_problem),
     .change = Change::kRestart,
     .meaning = "The SQLite file, an absolute path.",
     .details = "[history.md](history.md) describes its contents. Under systemd, another directory "
                "needs a `ReadWritePaths=` of its own."},
    {.table = "store",
     .name = "retention_days",
     .field = number<&Config::store, &Store::retention_days>({1, 36'500}),
     .change = Change::kRestart,
     .meaning = "Days after which clients that were not seen, and old events, are deleted.",
     .details = "Counted by the uptime of the host, so that a wrong clock deletes nothing."},
    {.table = "store",
     .name = "max_mib",
     .field = number<&Config::store, &Store::max_mib>({16, 16'777'216}),
     .change = Change::kRestart,
     .meaning = "Size of the file, in MiB, above which the oldest events are deleted.",
     .details = "If there are no events left, the clients not seen for longest are. Its log can "
                "take 64 MiB more, or 256 MiB while somebody reads."},
    {.table = "store",
     .name = "events_per_minute",
     .field = number<&Config::store, &Store::events_per_minute>({1, 100'000}),
     .change = Change::kRestart,
     .meaning = "Events of one client that get rows of their own in a minute.",
     .details = "Further ones are counted in one row, "
                "[a summary](history.md#events-that-share-a-row)."},
};

}  // namespace

const Keys& config_keys() {
  static constexpr Keys kKeys(kTables, kRows);
  return kKeys;
}

}  // namespace remora
