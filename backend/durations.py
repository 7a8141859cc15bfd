"""Times as people say them."""

from __future__ import annotations

import time


def short(seconds: float) -> str:
    """A duration in its largest fitting unit, for example ``3 min``."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def ago(when: float) -> str:
    """How long a time lies back; ``when`` in seconds since 1970."""
    return f"{short(max(0.0, time.time() - when))} ago"
