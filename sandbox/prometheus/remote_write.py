"""Samples in Prometheus' remote write 1.0: four nested protobuf messages, snappy's block format.

Written by hand, because the four messages are smaller than a protobuf toolchain, and only ever written, never read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

import cramjam

Series = tuple[Mapping[str, str], Sequence[tuple[float, float]]]
HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
# The NaN by which Prometheus itself marks the end of a series; any other NaN is a value.
STALE: float = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]


def write_request(series: Iterable[Series]) -> bytes:
    """The request's body. A series: its labels, `__name__` among them, and (Unix seconds, value) from old to new."""
    return bytes(cramjam.snappy.compress_raw(b"".join(_message(1, _series(*each)) for each in series)))


def _series(labels: Mapping[str, str], samples: Sequence[tuple[float, float]]) -> bytes:
    # the receiver refuses labels out of order
    named = [_message(1, _text(1, name) + _text(2, value)) for name, value in sorted(labels.items())]
    valued = [_message(2, _sample(at, value)) for at, value in samples]
    return b"".join(named + valued)


def _sample(at: float, value: float) -> bytes:
    return b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(round(at * 1000))


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())


def _message(field: int, body: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(body)) + body


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
