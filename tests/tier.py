"""Runs a tier of tests: `python -m tests.tier first|long|community [pytest arguments]`.

first      lint, then everything but the long tests; what CI runs
long       lint, then every test, with the figures as the issues state them; benchmarks last, alone
community  the suite on a Community server (~/.config/tsobs/test.toml); writes the record
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests import community_record

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
LINT = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("lint-imports", "--no-cache"),
)
# Two processes: a laptop and the CI machine have two cores. By -m, so that the plugin is found.
PYTEST = ("python", "-m", "pytest", "-p", "tests.tier_report", "--durations", "10")
PARALLEL = ("-n", "2", "--dist", "worksteal")
MARKS = {"first": "not long and not community", "long": "not alone", "community": "not long"}


def main(argv: Sequence[str]) -> int:
    """The exit status of the tier: 0 only when everything passed."""
    if not argv or argv[0] not in MARKS:
        sys.stderr.write((__doc__ or "") + "\n")
        return 2
    tier, extra = argv[0], argv[1:]
    if tier == "community":
        return _community(extra)
    for command in LINT:
        if status := _run(command):
            return status
    status = _pytest(tier, extra)
    if tier == "long" and not extra:
        # What measures has the machine to itself, and its figures are shown.
        status = _run((*PYTEST, "-m", "alone", "--capture=no")) or status
    community_record.warn(sys.stderr)
    return status


def _run(command: Sequence[str], **variables: str) -> int:
    sys.stdout.write(f"== {' '.join(command)}\n")
    sys.stdout.flush()
    started = time.monotonic()
    environ: Mapping[str, str] = os.environ | variables
    status = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, env=environ).returncode
    if status:
        sys.stdout.write(f"== {command[0]} failed after {time.monotonic() - started:.0f} s\n")
    return status


def _pytest(tier: str, extra: Sequence[str], **variables: str) -> int:
    return _run((*PYTEST, *PARALLEL, "-m", MARKS[tier], *extra), **variables)


def _community(extra: Sequence[str]) -> int:
    try:
        server = community_record.community_server()
    except LookupError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    counts = ROOT / ".pytest_cache" / "counts.json"
    counts.unlink(missing_ok=True)
    status = _pytest(
        "community",
        extra,
        TSOBS_TEST_PG_BIN=str(server.bin_dir),
        TSOBS_TEST_COUNTS=str(counts),
    )
    if status:
        return status
    if extra:
        sys.stderr.write("no record is written: only a run of the whole suite is one\n")
        return 0
    community_record.write(server, counts)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
