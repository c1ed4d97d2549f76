"""tests/community.json: the proof that the suite passed on the Community edition, and of what.

CI has the Apache edition only. The record holds a hash of what differs between the editions; when
that has changed since, the proof is stale and `make test` ends with a warning.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import tomllib
from pathlib import Path
from typing import TextIO

from tsobs.embedded import Server, find_server
from tsobs.errors import SetupError

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "tests" / "community.json"
CONFIGURATION = Path("~/.config/tsobs/test.toml")
# What writes samples: its format, its order, and the statements around it.
COPY_CODE = ("ingest/copyformat.py", "ingest/flush.py", "tsobs/columns.py")
EXAMPLE = '[servers]\ncommunity = "/usr/lib/postgresql/17/bin"'


def fingerprint(root: Path = ROOT) -> str:
    """SHA-256 over the names and bytes of all SQL and of the code that copies samples."""
    total = hashlib.sha256()
    for path in [*sorted((root / "sql").rglob("*.sql")), *(root / name for name in COPY_CODE)]:
        content = path.read_bytes()
        total.update(f"{path.relative_to(root)}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def community_server() -> Server:
    """The server that the configuration names; raises LookupError that says what to write there."""
    place = CONFIGURATION.expanduser()
    try:
        named = tomllib.loads(place.read_text())["servers"]["community"]
        server = find_server(Path(named))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LookupError(
            f"{place} must name the programs of a PostgreSQL that has TimescaleDB's Community "
            f"edition ({error}):\n{EXAMPLE}"
        ) from error
    except SetupError as error:
        raise LookupError(f"{place}: {error.message}") from error
    if server.edition != "community":
        raise LookupError(f"{place}: {server} is not the Community edition")
    return server


def write(server: Server, counts: Path) -> None:
    """Records a run that has just passed."""
    record = {
        "sha256": fingerprint(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "postgresql": server.version,
        "timescaledb": server.timescaledb,
        **json.loads(counts.read_text()),
    }
    RECORD.write_text(json.dumps(record, indent=2) + "\n")


def stale_reason(record: Path = RECORD, root: Path = ROOT) -> str | None:
    """Why the record proves nothing about the code as it is, or None."""
    try:
        found = json.loads(record.read_text())["sha256"]
    except (OSError, ValueError, KeyError):
        return "there is no record of a run on the Community edition"
    if found != fingerprint(root):
        return "sql/ or the COPY code changed since the suite last passed on the Community edition"
    return None


def warn(stream: TextIO) -> None:
    """The last lines of a run, where nobody overlooks them."""
    if reason := stale_reason():
        bar = "!" * 100
        stream.write(f"\n{bar}\n!! {reason}:\n!! run `make test-community` and commit its record\n")
        stream.write(f"{bar}\n")
