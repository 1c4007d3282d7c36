# SPDX-License-Identifier: Apache-2.0
"""TCP segments of made-up connections, as an attacker sends them: from any IPv4 address, and without
looking at the answers."""

import ipaddress
import socket
import struct

from lab import mqtt, namespaces, topology

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

_TCP = 6
_WINDOW = 0xFFFF


class Forger:
    """Sends from the namespace of one client. The gateway of the lab does not filter sources."""

    def __init__(self, lab, node):
        self._to = lab.layout.service_address
        self.sent = 0
        with namespaces.inside(lab.namespace(node)):
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def send(self, source, port, seq, ack, flags, payload=b""):
        self._socket.sendto(_packet(source, self._to, port, seq, ack, flags, payload),
                            (self._to, 0))
        self.sent += 1


class Connection:
    """One made-up connection. The constructor sends its handshake and its CONNECT."""

    def __init__(self, forger, source, port=40000, isn=1000, acknowledges=5000):
        self._forger = forger
        self._end = (source, port)
        self._ack = acknowledges
        self._first = isn + 1
        self._sent = 0  # bytes
        forger.send(*self._end, isn, 0, SYN)
        forger.send(*self._end, self._first, self._ack, ACK)
        self.send(mqtt.connect(f"forged-{source}-{port}"))

    def send(self, data):
        """Sends the next bytes of the stream."""
        self.send_at(0, data)
        self._sent += len(data)

    def send_at(self, ahead, data):
        """Sends bytes of the stream, `ahead` bytes beyond the next one."""
        seq = (self._first + self._sent + ahead) & 0xFFFFFFFF
        self._forger.send(*self._end, seq, self._ack, PSH | ACK, data)

    def skip(self, count):
        """Moves on by bytes of the stream that were sent with send_at()."""
        self._sent += count


def addresses(network, count):
    """The first `count` addresses of a network such as 10.9.0.0/16."""
    first = int(ipaddress.ip_network(network).network_address) + 1
    return [str(ipaddress.ip_address(first + number)) for number in range(count)]


def _packet(source, to, port, seq, ack, flags, payload):
    ends = socket.inet_aton(source) + socket.inet_aton(to)
    length = 20 + len(payload)
    tcp = struct.pack("!HHIIBBHHH", port, topology.MQTT_PORT, seq, ack, 5 << 4, flags, _WINDOW, 0, 0)
    checksum = _checksum(ends + struct.pack("!HH", _TCP, length) + tcp + payload)
    tcp = tcp[:16] + struct.pack("!H", checksum) + tcp[18:]
    # The kernel fills in the checksum of the IP header (raw(7)).
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0x4000, 64, _TCP, 0) + ends
    return ip + tcp + payload


def _checksum(data):
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
