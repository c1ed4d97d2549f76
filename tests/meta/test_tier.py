"""The tiers' own rules: a skip fails in CI, and a stale Community record is noticed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import community_record, lock
from tests.meta.sources import ROOT

SAMPLE = """
import pytest

def test_passes(): pass

@pytest.mark.skip(reason={reason!r})
def test_skipped(): raise AssertionError

@pytest.mark.xfail(strict=True)
def test_known_to_fail(): raise AssertionError
"""


@pytest.mark.parametrize(
    ("reason", "ci", "status"),
    [
        ("needs root", "true", 1),
        ("needs root", "", 0),
        ("GPU hardware: none here", "true", 0),
        ("Community edition only", "true", 0),
    ],
)
def test_what_ci_may_skip(reason: str, ci: str, status: int, tmp_path: Path) -> None:
    (tmp_path / "test_sample.py").write_text(SAMPLE.format(reason=reason))
    counts = tmp_path / "counts.json"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.tier_report", "-p", "no:randomly", "-q",
         "-c", os.devnull, "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"CI": ci, "TSOBS_TEST_COUNTS": str(counts)},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == status, done.stdout
    assert json.loads(counts.read_text()) == {"passed": 1, "failed": 0, "skipped": 1}
    # pytest's own line comes last.
    assert "1 passed, 1 skipped, 1 xfailed" in done.stdout.splitlines()[-1]
    assert ("fails in CI" in done.stdout) is bool(status)


def copy_of_the_code(folder: Path) -> Path:
    for name in ("sql/a.sql", "sql/deep/b.sql", *community_record.COPY_CODE):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def test_the_record_is_stale_when_what_it_proved_changed(tmp_path: Path) -> None:
    root = copy_of_the_code(tmp_path)
    record = tmp_path / "community.json"
    assert "no record" in str(community_record.stale_reason(record, root))
    for name in ("sql/a.sql", "sql/deep/b.sql", *community_record.COPY_CODE):
        record.write_text(json.dumps({"sha256": community_record.fingerprint(root)}))
        assert community_record.stale_reason(record, root) is None
        (root / name).write_text("changed")
        assert "changed since" in str(community_record.stale_reason(record, root)), name
    record.write_text(json.dumps({"sha256": community_record.fingerprint(root)}))
    (root / "sql" / "a.sql").rename(root / "sql" / "c.sql")
    assert community_record.stale_reason(record, root) is not None


def test_the_copy_code_is_there() -> None:
    assert all((ROOT / name).is_file() for name in community_record.COPY_CODE)


def test_the_locked_versions_are_versions_and_nothing_else() -> None:
    lines = lock.LOCK.read_text().splitlines()
    assert lines[0] + "\n" == lock.HEAD
    assert all(line.count("==") == 1 and "/" not in line for line in lines[1:])
    locked = {line.partition("==")[0].lower().replace("_", "-") for line in lines[1:]}
    for requirement in lock.wanted():
        name = requirement.split(">")[0].split("<")[0].lower()
        assert name in locked, requirement
