# SPDX-License-Identifier: Apache-2.0
"""Judges whether the events of each phase are what Remora promises. Values in, values out."""

import collections
import dataclasses


@dataclasses.dataclass
class Phase:
    """One phase of the demo and everything observed in it."""

    name: str
    title: str
    sent: list  # of traffic.Sent
    deliveries: list  # of deliveries.Delivery
    mispredicts: list  # of witness.Mispredict
    counted: dict  # growth of remorad's counters
    group_brokers: dict  # {topic: brokers of its group}

    @property
    def wrong_group(self):
        return sum(d.broker not in self.group_brokers[d.topic] for d in self.deliveries)

    def rows(self):
        """{(client, topic): (sent, {broker: delivered})} in the order of first sending."""
        rows = {}
        for message in self.sent:
            row = rows.setdefault((message.client, message.topic), [0, collections.Counter()])
            row[0] += 1
        for delivery in self.deliveries:
            row = rows.setdefault((delivery.client, delivery.topic), [0, collections.Counter()])
            row[1][delivery.broker] += 1
        return rows

    def lost(self):
        """The messages that no broker got."""
        arrived = {(d.client, d.number) for d in self.deliveries}
        return [m for m in self.sent if (m.client, m.number) not in arrived]

    def unexplained_losses(self):
        """Losses that lie in no gap between a mispredict and its client's reconnect."""
        return [m for m in self.lost() if not any(self._in_gap(m, g) for g in self.mispredicts)]

    def _in_gap(self, message, mispredict):
        first = mispredict.publish
        return (
            (first.client, first.phase) == (message.client, self.name)
            and message.number >= first.number
            and mispredict.back_at is not None
            and message.at <= mispredict.back_at
        )

    def repeated(self):
        """The number of deliveries that were not the first of their message."""
        return len(self.deliveries) - len({(d.client, d.number) for d in self.deliveries})

    def is_complete(self):
        return not self.lost() and not self.repeated()


@dataclasses.dataclass(frozen=True)
class Claim:
    """A statement that must hold, whether it does, and what was found."""

    text: str
    holds: bool
    found: str


def percentile(values, percent):
    """The percentile by nearest rank: the smallest value not exceeded by `percent` % of all."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(rank, 1) - 1]


def summary(values):
    """{"p50", "p99", "n"} of a list of milliseconds."""
    known = [v for v in values if v is not None]
    if not known:
        return {"p50": None, "p99": None, "n": 0}
    return {
        "p50": round(percentile(known, 50), 3),
        "p99": round(percentile(known, 99), 3),
        "n": len(known),
    }


def judge(policy, phases):
    """The claims of `policy` over all phases."""
    claims = [_mispredicted(policy, phases)]
    if policy == "keep":
        claims.append(_complete("every message was delivered, once", phases))
        return claims
    first = [phase for phase in phases if phase.name in ("1", "3")]
    claims.append(_routed(first))
    claims.append(_complete("unknown clients lost nothing (phases 1 and 3)", first))
    quiet = [phase for phase in phases if phase.name in ("2", "4")]
    claims.append(_complete("known clients lost nothing (phases 2 and 4)", quiet))
    wrong = sum(phase.wrong_group for phase in phases)
    claims.append(Claim("nothing was delivered to a wrong group", wrong == 0, f"{wrong} were"))
    unexplained = [message for phase in phases for message in phase.unexplained_losses()]
    lost = sum(len(phase.lost()) for phase in phases)
    example = ""
    if unexplained:
        first = unexplained[0]
        example = f", the first {first.client} number {first.number} of phase {first.phase}"
    claims.append(
        Claim(
            "losses only between a mispredict and the client's own reconnect",
            not unexplained,
            f"{lost} lost, {len(unexplained)} of them elsewhere{example}",
        )
    )
    return claims


def _mispredicted(policy, phases):
    """The kernel judged like the witness, and handled the connections as the policy says."""
    seen = sum(len(phase.mispredicts) for phase in phases)
    counted = sum(phase.counted.get("MISPREDICT", 0) for phase in phases)
    resets = sum(phase.counted.get("RESET", 0) for phase in phases)
    timed = sum(m.reset_ms is not None for phase in phases for m in phase.mispredicts)
    found = f"{seen} mispredicted, {counted} noticed, {resets} reset, {timed} sockets closed by it"
    if policy == "reset":
        return Claim(
            "every mispredicted connection was reset, and no other",
            seen == counted == resets == timed, found,
        )
    # A connection that is kept may publish to another wrong topic later.
    return Claim("every mispredict was noticed, and nobody was reset",
                 seen <= counted and resets == timed == 0, found)


def _routed(phases):
    """Unknown clients went to the router, with one connection each, and were not mispredicted."""
    clients = sum(len({message.client for message in phase.sent}) for phase in phases)
    routed = sum(phase.counted.get("SYN_ROUTED", 0) for phase in phases)
    mispredicted = sum(phase.counted.get("MISPREDICT", 0) for phase in phases)
    return Claim("unknown clients were served by the router (phases 1 and 3)",
                 routed == clients and mispredicted == 0,
                 f"{routed} connections of {clients} clients")


def _complete(text, phases):
    sent = sum(len(phase.sent) for phase in phases)
    delivered = sum(len(phase.deliveries) for phase in phases)
    return Claim(
        text, all(phase.is_complete() for phase in phases), f"{delivered} delivered of {sent} sent"
    )


def as_json(phases, claims):
    """The document that `--json` writes."""
    return {
        "phases": [_phase_as_json(phase) for phase in phases],
        "claims": [dataclasses.asdict(claim) for claim in claims],
        "ok": all(claim.holds for claim in claims),
    }


def _phase_as_json(phase):
    return {
        "name": f"{phase.name} {phase.title}",
        "sent": len(phase.sent),
        "delivered": len(phase.deliveries),
        "wrong_group": phase.wrong_group,
        "mispredicts": phase.counted.get("MISPREDICT", 0),
        "resets": phase.counted.get("RESET", 0),
        "reset_ms": summary([m.reset_ms for m in phase.mispredicts]),
        "recovery_ms": summary([m.recovery_ms for m in phase.mispredicts]),
        "clients": [
            {"client": client, "topic": topic, "sent": sent, "brokers": dict(brokers)}
            for (client, topic), (sent, brokers) in phase.rows().items()
        ],
    }
