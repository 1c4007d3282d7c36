# SPDX-License-Identifier: Apache-2.0
"""The lab's own MQTT: packets to send, and a walker over a stream."""

import struct

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK = range(1, 10)
PINGREQ, PINGRESP, DISCONNECT = 12, 13, 14


def _remaining_length(value):
    """The encoding of a length, MQTT 3.1.1 §2.2.3: seven bits a byte, least significant first."""
    out = bytearray()
    while True:
        value, low = divmod(value, 128)
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def _string(text):
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("!H", len(data)) + data


def connect(client_id, *, keepalive_s=60, clean=True, will=None, version=4):
    """A CONNECT; `will` is (topic, payload), sent at QoS 0. `version`: 4 or 5, as on the wire."""
    properties = b"\0" if version == 5 else b""
    flags = (0x02 if clean else 0) | (0x04 if will else 0)
    body = _string("MQTT") + bytes([version, flags]) + struct.pack("!H", keepalive_s)
    body += properties + _string(client_id)
    if will:
        body += properties + _string(will[0]) + _string(will[1])
    return bytes([CONNECT << 4]) + _remaining_length(len(body)) + body


def publish(topic, payload, *, qos=0, packet_id=0, dup=False, version=4):
    body = _string(topic)
    if qos:
        body += struct.pack("!H", packet_id)
    if version == 5:
        body += b"\0"  # no properties
    body += payload.encode() if isinstance(payload, str) else payload
    first = PUBLISH << 4 | (0x08 if dup else 0) | qos << 1
    return bytes([first]) + _remaining_length(len(body)) + body


def pubrel(packet_id):
    return struct.pack("!BBH", PUBREL << 4 | 0x02, 2, packet_id)


def subscribe(topic_filter, *, packet_id=1, qos=0):
    """A SUBSCRIBE, MQTT 3.1.1 (§3.8)."""
    body = struct.pack("!H", packet_id) + _string(topic_filter) + bytes([qos])
    return bytes([SUBSCRIBE << 4 | 0x02]) + _remaining_length(len(body)) + body


def disconnect():
    return bytes([DISCONNECT << 4, 0])


def pingreq():
    return bytes([PINGREQ << 4, 0])


class Walker:
    """Splits a byte stream into control packets."""

    def __init__(self):
        self._buffer = b""

    def feed(self, data):
        """Returns (first byte, body) of each packet that `data` completes."""
        self._buffer += data
        packets = []
        while (cut := self._length()) is not None and len(self._buffer) >= sum(cut):
            header, body = cut
            packets.append((self._buffer[0], self._buffer[header : header + body]))
            self._buffer = self._buffer[header + body :]
        return packets

    def _length(self):
        """(bytes of the fixed header, bytes of the rest); None while the header is incomplete."""
        value = 0
        for index, byte in enumerate(self._buffer[1:5]):
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return index + 2, value
        return None


def published(first_byte, body):
    """(topic, payload) of a PUBLISH's body."""
    length = struct.unpack_from("!H", body)[0]
    start = 2 + length + (2 if first_byte & 0x06 else 0)
    return body[2 : 2 + length].decode(errors="replace"), body[start:]


# ---- payloads of the lab's messages --------------------------------------------


def message(client, phase, number, size=0):
    """A payload that identifies the message, padded to `size` bytes."""
    text = f"{client} {phase} {number} "
    return text + "." * (size - len(text))


def parse_message(payload):
    """(client, phase, number) of a payload made by message(); None for any other."""
    parts = payload[:120].split(b" ", 3)
    if len(parts) < 4 or not parts[2].isdigit():
        return None
    return parts[0].decode(errors="replace"), parts[1].decode(errors="replace"), int(parts[2])
