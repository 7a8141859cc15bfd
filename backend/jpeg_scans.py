"""How often a JPEG file makes its decoder go over the whole image."""

from __future__ import annotations

import re

MOST_SCANS = 100
"""A progressive file has about ten. A forged one of some kilobytes may have thousands, each of them as much work as a whole image."""

_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")
"""Marker of a segment. In compressed data 0xff is followed by 0, or by a restart marker, which has no segment (ITU T.81, B.1.1)."""

_END_OF_IMAGE = 0xD9
_START_OF_SCAN = 0xDA


def count_scans(body: bytes) -> int:
    """Scans of a JPEG file up to its end marker; what follows that, such as a video, is not looked at."""
    place, scans = 2, 0
    while found := _MARKER.search(body, place):
        place = found.end()
        marker = body[place - 1]
        if marker == _END_OF_IMAGE:
            break
        scans += marker == _START_OF_SCAN
        place += int.from_bytes(body[place : place + 2])
    return scans
