# SPDX-License-Identifier: Apache-2.0
"""A publisher on paho: publishes each line "TOPIC PAYLOAD" that it reads, and reconnects by itself.

Run as a program: publisher.py HOST PORT CLIENT_ID [--qos N] [--keepalive S] [--will TOPIC]. It
reads nothing until its first connection, and ends its session at the end of its input. Paho handles
messages published without a connection: it loses them at QoS 0 and sends them later at QoS 1 and 2.
"""

import argparse
import sys
import threading

from paho.mqtt import client as paho


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("client_id")
    parser.add_argument("--qos", type=int, default=0)
    parser.add_argument("--keepalive", type=int, default=60)
    parser.add_argument("--will")
    arguments = parser.parse_args()

    connected = threading.Event()
    acknowledged = threading.Semaphore(0)

    client = paho.Client(arguments.client_id, clean_session=arguments.qos == 0)
    if arguments.will:
        client.will_set(arguments.will, "gone")
    client.on_connect = lambda *_: connected.set()
    client.on_publish = lambda *_: acknowledged.release()
    client.connect(arguments.host, arguments.port, arguments.keepalive)
    client.loop_start()
    connected.wait()

    published = 0
    for line in sys.stdin:
        topic, payload = line.rstrip("\n").split(" ", 1)
        client.publish(topic, payload, arguments.qos)
        published += 1
    if arguments.qos:
        for _ in range(published):
            acknowledged.acquire()
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    main()
