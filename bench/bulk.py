#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Plain TCP at full speed, for bench/lossy: no time is spent on the work of a broker.

    bulk.py sink PORT                                 reads connections to their ends, for ever
    bulk.py send HOST PORT CONNECTIONS MEGABYTES mqtt|unjudged SEED

`send` opens the connections, writes to all of them at once, waits until the sink has confirmed
each, and prints {"seconds", "bytes", "publishes"}. A stream is a CONNECT and PUBLISHes of random
sizes. An `unjudged` stream begins with a PINGREQ: Remora does not judge a stream that does not
begin with a CONNECT, but forwards it on its flow.
"""

import json
import os
import pathlib
import random
import selectors
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from lab import mqtt  # noqa: E402  (the path comes first)

_CHUNK = 1 << 18


def sink(port):
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    print("listening", flush=True)
    received = {}
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        buffer = bytearray(_CHUNK)
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    connection, _ = listener.accept()
                    received[connection] = 0
                    selector.register(connection, selectors.EVENT_READ)
                    continue
                connection = key.fileobj
                length = connection.recv_into(buffer)
                received[connection] += length
                if length == 0:
                    connection.sendall(struct.pack("!Q", received.pop(connection)))
                    selector.unregister(connection)
                    connection.close()


def stream(client_id, topic, megabytes, generator):
    """(bytes of the stream, number of PUBLISHes in it)."""
    packets, size = [], 0
    while size < megabytes << 20:
        packets.append(mqtt.publish(topic, bytes(generator.randrange(100, 1001))))
        size += len(packets[-1])
    return mqtt.connect(client_id) + b"".join(packets), len(packets)


def send(host, port, count, megabytes, kind, seed):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    generator = random.Random(seed)
    publishes, streams = 0, []
    for number in range(count):
        data, packets = stream(f"bulk{number}", f"bulk/{number}", megabytes, generator)
        streams.append((mqtt.pingreq() if kind == "unjudged" else b"") + data)
        publishes += packets
    connections = [socket.socket(family) for _ in streams]
    for connection in connections:
        connection.connect((host, port))
    confirmed = []

    def write(connection, data):
        with connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            confirmed.append(struct.unpack("!Q", connection.recv(8, socket.MSG_WAITALL))[0])

    threads = [threading.Thread(target=write, args=each) for each in zip(connections, streams)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - begun
    if sorted(confirmed) != sorted(map(len, streams)):
        sys.exit(f"sent {list(map(len, streams))}, confirmed {confirmed}")
    print(json.dumps({"seconds": seconds, "bytes": sum(confirmed), "publishes": publishes}))


def run_on(index):
    """Puts sender and sink on different CPUs, so that all measurements are alike."""
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {processors[index % len(processors)]})


if __name__ == "__main__":
    run_on(0 if sys.argv[1] == "send" else 1)
    if sys.argv[1] == "sink":
        sink(int(sys.argv[2]))
    else:
        _, _, host, port, count, megabytes, kind, seed = sys.argv
        send(host, int(port), int(count), int(megabytes), kind, int(seed))
