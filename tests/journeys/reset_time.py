#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long a mispredicted PUBLISH takes to reset its client, with a hundred PUBACKs in flight.

The broker's answers make the sequence number of any one RST stale before it arrives (RFC 5961).
Times are the kernel's: from the PUBLISH leaving the client's interface to the arrival of the RST
that the client accepts, and from there to the first PUBLISH arriving at the right broker.
"""

from support import Journey, Session, Settings, main, mqtt, verdict

TOPICS = ("measurements/temperature", "measurements/humidity")
SAMPLES = 120
IN_FLIGHT = 100
RESET_P99_MS = 2.0
RECOVERY_P99_MS = 5.0


class ResetTime(Journey):
    settings = Settings(resets_per_client=100_000, resets_per_second=100_000)

    def test_reset_and_recovery(self):
        self.teach("client0", TOPICS[0])
        witness = self.watch()
        for sample in range(SAMPLES):
            right, wrong = TOPICS[sample % 2], TOPICS[(sample + 1) % 2]
            # Each connection after the first is the immediate return of the one before.
            with Session(self.lab, "client0") as session:
                session.send(*(
                    mqtt.publish(right, mqtt.message("client0", str(sample), number), qos=1,
                                 packet_id=number)
                    for number in range(1, IN_FLIGHT + 1)
                ))
                session.publish(
                    wrong, mqtt.message("client0", str(sample), IN_FLIGHT + 1), qos=1,
                    packet_id=IN_FLIGHT + 1,
                )
                self.assertTrue(session.wait_for_reset(), f"sample {sample} is reset")
        with Session(self.lab, "client0") as session:
            last = TOPICS[SAMPLES % 2]
            session.publish(last, mqtt.message("client0", "last", 1), qos=1, packet_id=1)
            session.read(mqtt.PUBACK)
        self.deliveries.wait_until_quiet()

        mispredicts = witness.mispredicts(self.brokers_of)
        self.assertEqual(len(mispredicts), SAMPLES)
        reset = verdict.summary([m.reset_ms for m in mispredicts])
        recovery = verdict.summary([m.recovery_ms for m in mispredicts])
        print(f"reset {reset} ms, recovery {recovery} ms")
        self.assertGreaterEqual(reset["n"], 100)
        self.assertLess(reset["p99"], RESET_P99_MS)
        self.assertGreaterEqual(recovery["n"], 100)
        self.assertLess(recovery["p99"], RECOVERY_P99_MS)
        self.expect_no_wrong_group()


if __name__ == "__main__":
    main()
