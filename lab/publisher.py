# SPDX-License-Identifier: Apache-2.0
"""A publisher on paho: publishes what it reads, one "TOPIC PAYLOAD" a line; reconnects by itself.

Run as a program: publisher.py HOST PORT CLIENT_ID [--qos N] [--keepalive S]. It reads nothing until
it is connected for the first time, and ends its session at the end of its input. What is published
while there is no connection is lost at QoS 0 and sent later at QoS 1 and 2, as paho does it.
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
    arguments = parser.parse_args()

    connected = threading.Event()
    acknowledged = threading.Semaphore(0)

    client = paho.Client(arguments.client_id, clean_session=arguments.qos == 0)
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
