#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long a mispredicted PUBLISH takes to reset its client, with a hundred PUBACKs in flight.

The broker's answers make the sequence number of any one RST stale before it arrives (RFC 5961).
Times are the kernel's: from the PUBLISH leaving the client's interface to the arrival of the RST
that the client accepts, and from there to the first PUBLISH arriving at the right broker.

The 99th percentile of a few milliseconds is also that of a busy machine's scheduler. So all of the
lab runs ahead of whatever else the machine has to do, and a measurement that misses its bound is
repeated, a few times at most; all of them are printed.
"""

import time

from support import Addressing, Journey, Session, Settings, config, main, mqtt, verdict

TOPICS = ("measurements/temperature", "measurements/humidity")
SAMPLES = 120
IN_FLIGHT = 100
RESET_P99_MS = 2.0
RECOVERY_P99_MS = 5.0
MEASUREMENTS = 6


class ResetTime(Journey):
    # No ring changes here, so a connection needs no CPU of its own behind Katran either. With a
    # thread that receives two or three clients of 120 are reset some 45 ms later, with every
    # forwarder: as long as Linux may delay the ACK by which the next RST gets its number.
    settings = Settings(resets_per_client=1000, receiving=config.LIKE_VETH)

    def setUp(self):
        self.run_ahead_of_the_machine()
        super().setUp()

    def publish_and_be_reset(self, name, right, wrong):
        """A hundred PUBLISHes in flight, then one to a topic of another group."""
        with Session(self.lab, "client0") as session:
            session.send(*(
                mqtt.publish(right, mqtt.message("client0", name, number), qos=1, packet_id=number)
                for number in range(1, IN_FLIGHT + 1)
            ))
            session.publish(
                wrong, mqtt.message("client0", name, IN_FLIGHT + 1), qos=1,
                packet_id=IN_FLIGHT + 1,
            )
            self.assertTrue(session.wait_for_reset(), f"sample {name} is reset")

    def measure(self, witness):
        """(reset, recovery) of SAMPLES connections, each the immediate return of the last one."""
        begun = time.time()
        for sample in range(SAMPLES):
            self.publish_and_be_reset(str(sample), TOPICS[sample % 2], TOPICS[(sample + 1) % 2])
        with Session(self.lab, "client0") as session:
            last = mqtt.message("client0", "last", 1)
            session.publish(TOPICS[SAMPLES % 2], last, qos=1, packet_id=1)
            session.read(mqtt.PUBACK)
            session.disconnect()
        self.deliveries.wait_until_quiet()

        mispredicts = witness.mispredicts(self.brokers_of, since=begun)
        self.assertEqual(len(mispredicts), SAMPLES)
        reset = verdict.summary([m.reset_ms for m in mispredicts])
        recovery = verdict.summary([m.recovery_ms for m in mispredicts])
        print(f"reset {reset} ms, recovery {recovery} ms", flush=True)
        # None was left to its own timeout, so none is missing from the figures.
        self.assertEqual((reset["n"], recovery["n"]), (SAMPLES, SAMPLES))
        self.assertEqual({m.connection.ended_by for m in mispredicts}, {"disconnect"})
        self.expect_no_wrong_group()
        return reset, recovery

    def test_reset_and_recovery(self):
        self.teach("client0", TOPICS[0])
        witness = self.watch()
        fastest_reset = fastest_recovery = float("inf")
        for _ in range(MEASUREMENTS):
            reset, recovery = self.measure(witness)
            fastest_reset = min(fastest_reset, reset["p99"])
            fastest_recovery = min(fastest_recovery, recovery["p99"])
            if fastest_reset < RESET_P99_MS and fastest_recovery < RECOVERY_P99_MS:
                return
        self.fail(f"p99 at best {fastest_reset} ms to the reset, {fastest_recovery} ms to recover")


class ResetTimeIpv6(ResetTime):
    addressing = Addressing.IPV6


if __name__ == "__main__":
    main()
