/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The list of all counters of the BPF programs: X(NAME, unit, class, meaning).
 *
 * The programs' enum, `remoractl status` and its --json, the doctor and docs/counters.md
 * follow this list. To add a counter, add a line here and count(NAME) where the event
 * happens, and run scripts/write-reference. The daemon's own counters are in
 * daemon/protocol/daemon_counters.h.
 *
 * The class tells the meaning of a value above 0:
 *   Normal  part of normal operation
 *   Look    worth a look when it grows
 *   Alarm   something is wrong: the doctor warns of it, and the meaning names the remedy
 *
 * Once an ABI is released, new lines must be added at its end: pinned counters keep their
 * places.
 */
#pragma once

/* clang-format off */
#define REMORA_COUNTERS(X) \
	X(OTHER_TRAFFIC, "packets", Normal, "packets that are not for a service, passed on unchanged") \
	X(SYN, "packets", Normal, "connection attempts, including retransmissions") \
	X(SYN_PREDICTED, "packets", Normal, "connection attempts sent to the group predicted for the client") \
	X(SYN_UNKNOWN, "packets", Normal, "connection attempts of clients without a prediction") \
	X(SYN_ROUTED, "packets", Normal, "connection attempts passed to the router") \
	X(ROUTED, "packets", Normal, "other packets of routed connections") \
	X(ROUTER_ABSENT, "packets", Look, "connection attempts for the router that took the usual way: it does not listen, or the daemon is silent") \
	X(ROUTER_FULL, "packets", Look, "connection attempts for the router that took the usual way: it has as many connections or bytes as it may") \
	X(ROUTER_RATE, "packets", Look, "connection attempts for the router that took the usual way: more than its connections_per_second") \
	X(SYN_DATA, "packets", Look, "connection attempts whose data was cut off (TCP Fast Open)") \
	X(SYN_OPTION, "packets", Look, "connection attempts made plain TCP: Multipath TCP, or encryption or SMC by a TCP option") \
	X(ASKED, "packets", Normal, "connection attempts answered with a question: their clients were mispredicted twice in a day, their ports have a connection that lives, or the flow table is nearly full") \
	X(ANSWERED, "packets", Normal, "answers to such questions") \
	X(ESTABLISHED, "connections", Normal, "connections whose handshake and CONNECT were seen") \
	X(CLOSED, "connections", Normal, "connections closed by the client's FIN or in-sequence RST") \
	X(EVACUATED, "connections", Normal, "connections ended because their real is evacuated") \
	X(NO_FLOW, "packets", Look, "packets of connections that are not tracked: forwarded, but not judged") \
	X(FLOW_TABLE_FULL, "connections", Alarm, "connections not tracked: the flow table is full; raise flows or lower idle_hours") \
	X(GAVE_WAY, "connections", Look, "connections forgotten for others: the flow table was full, and they had only a CONNECT or did not answer a question") \
	X(CLIENT_CONNECTIONS, "connections", Look, "connections not tracked: more than connections_per_client") \
	X(PUBLISH, "PUBLISHes", Normal, "PUBLISH packets on tracked connections: the sum of the map messages, which has them by group, QoS and verdict") \
	X(JUDGED, "PUBLISHes", Normal, "PUBLISH packets whose topic was compared with the connection's group") \
	X(TOPIC_ALIAS, "PUBLISHes", Look, "PUBLISH packets not judged: the topic alias is not known") \
	X(TOPIC_LOST, "PUBLISHes", Look, "PUBLISH packets not judged: the beginning of the topic is no longer kept") \
	X(TOPIC_LEFT, "PUBLISHes", Normal, "PUBLISH packets left to the daemon: the topic is too long or too deep") \
	X(TOPIC_INVALID, "PUBLISHes", Look, "PUBLISH packets not judged: the topic name is invalid") \
	X(MALFORMED, "streams", Look, "streams no longer judged: malformed MQTT") \
	X(UNJUDGED, "streams", Look, "streams no longer judged: they cost too much work; the history names their clients") \
	X(BLIND, "segments", Look, "segments not judged: packet boundaries unknown") \
	X(RESYNCED, "streams", Normal, "streams judged again: a known topic showed the packet boundary") \
	X(EARLY, "segments", Normal, "segments ahead of a missing one, kept until it comes") \
	X(EARLY_JUDGED, "segments", Normal, "kept segments that were judged when the missing one came") \
	X(EARLY_REFUSED, "segments", Look, "segments ahead of a missing one, dropped: their flow has 8 of them, or their client its share of early_segments") \
	X(DOUBTED, "segments", Look, "segments ahead of a missing one, dropped: they do not fit their connection; they are spoofed, or their client repeats them") \
	X(CUT, "segments", Normal, "segments that repeated bytes before new ones, and went on without the new ones; the client repeats these") \
	X(WITHHELD, "segments", Normal, "segments dropped until the kept ones after them are judged; the client repeats them") \
	X(LEARNED, "predictions", Normal, "predictions learned: new clients and changed topics") \
	X(UNLEARNED, "predictions", Normal, "predictions withdrawn because of the client's own RST") \
	X(MISPREDICT, "PUBLISHes", Normal, "PUBLISH packets whose topic belongs to another group") \
	X(RESET, "connections", Normal, "connections reset because of a mispredict") \
	X(KEPT_POLICY, "PUBLISHes", Normal, "mispredicts left where they are: policy keep") \
	X(KEPT_CLIENT, "PUBLISHes", Look, "mispredicts left where they are: more than resets_per_client") \
	X(KEPT_CHANGING, "PUBLISHes", Look, "mispredicts left where they are: their addresses change between groups all the time") \
	X(KEPT_RATE, "PUBLISHes", Alarm, "mispredicts left where they are: more than resets_per_second; look for what the clients have in common") \
	X(KEPT_NETWORK, "PUBLISHes", Alarm, "mispredicts left where they are: their network has its share of resets_per_second; look for forged packets") \
	X(DROPPED_POLICY, "connections", Normal, "connections silenced by policy drop") \
	X(CONDEMNED_RST, "packets", Normal, "packets of reset connections answered with a RST") \
	X(CONDEMNED_DROP, "packets", Normal, "packets of reset or silenced connections dropped") \
	X(TOO_BIG, "packets", Look, "packets too long for the outer header, answered with ICMP") \
	X(ICMP_TRANSLATED, "packets", Normal, "ICMP errors on the way to a broker, passed on to the client") \
	X(ICMP_TO_BROKER, "packets", Normal, "ICMP errors about what a broker sent, passed on to its real") \
	X(ICMP_UNTRANSLATED, "packets", Look, "ICMP errors on the way to a broker that are of no use to a client") \
	X(IP_OPTIONS, "packets", Look, "packets to a service dropped: IPv4 options") \
	X(IPV6_EXTENSION, "packets", Look, "packets to a service dropped: IPv6 extension headers") \
	X(FRAGMENT, "packets", Look, "packets to a service dropped: fragments") \
	X(VLAN, "packets", Alarm, "packets to a service dropped: Katran takes no VLAN tags; untag them before the LB") \
	X(TRUNCATED, "packets", Look, "packets dropped: headers cut short or inconsistent") \
	X(NO_REAL, "packets", Alarm, "packets dropped: the group has no real; see remoractl reals list") \
	X(NO_FORWARDER, "packets", Alarm, "packets dropped: the forwarder's slot is empty; restart remorad or the Katran server") \
	X(NO_GATEWAY, "packets", Alarm, "packets dropped: the gateway's Ethernet address is not known; see gateway_mac") \
	X(NO_HEADROOM, "packets", Alarm, "packets dropped: the driver leaves no room for the outer header; xdp_mode = generic does") \
	X(EVENT_LOST, "records", Alarm, "records lost: the ring was full while remorad was busy or off; raise events_kib") \
	X(REPORTED, "segments", Normal, "mispredicted segments reported by the probe") \
	X(PROBE_RST, "packets", Look, "RSTs sent by the probe: the ring is full, or the daemon is silent") \
	X(NO_METADATA, "PUBLISHes", Alarm, "mispredicts reset without a record: the driver takes no metadata; xdp_mode = generic does")
/* clang-format on */

enum counter {
#define REMORA_COUNTER(name, unit, kind, meaning) COUNT_##name,
	REMORA_COUNTERS(REMORA_COUNTER)
#undef REMORA_COUNTER
		COUNTERS
};
