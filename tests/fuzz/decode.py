"""Coverage-guided fuzzing of the decoders: `python -m tests.fuzz.decode corpus [options]`.

The options are libFuzzer's. An input is a byte that says the version, and a body; both kernels with
the slow path have to find what protobuf finds in it. Coverage is that of the Python code; the
compiled kernel gets the same inputs.
"""

from __future__ import annotations

import sys
from typing import Any

import atheris

with atheris.instrument_imports(include=["ingest.remotewrite"]):
    from tests.unit.ingest.remotewrite.oracle import KERNELS, same_meaning


def one_input(data: bytes) -> None:
    """Fails where anything differs."""
    if data:
        caches: list[Any] = [kernel.SeriesCache(4) for kernel in KERNELS]
        same_meaning(data[1:], 1 + (data[0] & 1), caches, {})


def main() -> None:
    """Runs until libFuzzer's limits are reached, or something is found."""
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
