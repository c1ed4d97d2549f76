"""The real job of the demo: burns a share of one CPU and holds some memory, until it is ended.

A script of the standard library alone: `burner.py SHARE BYTES`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

__all__ = ["burn"]

_TURN_S = 0.1


def burn(share: float, until: float) -> None:
    """Uses `share` of one CPU until the monotonic clock says `until`."""
    start_s, start_cpu_s = time.monotonic(), time.process_time()
    while (now := time.monotonic()) < until:
        # What this process has used in all decides, so that nothing adds up to an error.
        owed_s = share * (now - start_s) - (time.process_time() - start_cpu_s)
        if owed_s > 0:
            _spin(owed_s)
        else:
            time.sleep(_TURN_S)


def _spin(length_s: float) -> None:
    end = time.process_time() + length_s
    while time.process_time() < end:
        sum(range(1_000))


def main(arguments: Sequence[str]) -> int:
    """Holds the memory and burns for ever."""
    share, size_bytes = float(arguments[0]), int(arguments[1])
    held = bytearray(size_bytes)
    # Every page has to be written to before it is held.
    held[::4096] = b"x" * len(held[::4096])
    burn(share, float("inf"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
