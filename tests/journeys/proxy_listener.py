#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""proxy_listener.py PORT BROKER_PORT: stands for a broker's listener that expects a PROXY header.

Debian's mosquitto has none. Prints the client of each connection as "ADDRESS PORT", and hands the
rest of its bytes to the broker.
"""

import contextlib
import ipaddress
import socket
import struct
import sys
import threading

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PROXY_V2 = 0x21
ADDRESS_BYTES = {0x11: 4, 0x21: 16}  # TCP over IPv4 and IPv6


def read_client(connection):
    """(address, port) in the header at the beginning of the stream."""
    signature, version, family, length = struct.unpack(
        "!12sBBH", connection.recv(16, socket.MSG_WAITALL))
    if signature != SIGNATURE or version != PROXY_V2:
        raise ValueError("no PROXY header of version 2")
    body = connection.recv(length, socket.MSG_WAITALL)
    size = ADDRESS_BYTES[family]
    return ipaddress.ip_address(body[:size]), struct.unpack_from("!H", body, 2 * size)[0]


def pass_on(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def serve(connection, broker_port):
    with connection, socket.create_connection(("127.0.0.1", broker_port)) as broker:
        print(*read_client(connection), flush=True)
        back = threading.Thread(target=pass_on, args=(broker, connection))
        back.start()
        pass_on(connection, broker)
        back.join()


def main():
    port, broker_port = map(int, sys.argv[1:])
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, broker_port), daemon=True).start()


if __name__ == "__main__":
    main()
