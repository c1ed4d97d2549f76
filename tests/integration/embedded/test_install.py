"""From nothing to a running database, with the host's own package sources."""

from __future__ import annotations

import pytest

from tests.integration.embedded.conftest import AsNobody
from tsobs.embedded.server import _installed

CODE = """
import os, subprocess, sys
os.umask(0o027)
sys.argv = ["tsobs"]
import argparse
from tsobs.embedded.commands import add_parser

def tsobs(*words):
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    args = parser.parse_args(["db", *words])
    code = args.run(args)
    sys.stdout.flush()
    return code

assert tsobs("status") == 3
assert tsobs("start") == 0
assert tsobs("status") == 0
if os.fork() == 0:
    tsobs("psql", "--", "-AtXc", "CREATE EXTENSION timescaledb", "-c", "SELECT 6 * 7")
os.wait()
assert tsobs("stop") == 0
assert tsobs("status") == 3
"""


@pytest.mark.skipif(_installed(None) is not None, reason="this host has a server of its own")
def test_an_ordinary_user_gets_a_database_from_nothing(as_nobody: AsNobody) -> None:
    done = as_nobody(CODE, timeout_s=100)
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("reading the package index", "MB) …", "unpacking …", "making a database in"):
        assert words in done.stderr
    assert "runs on 127.0.0.1:" in done.stdout
    assert "\n42\n" in done.stdout
    assert "home/.local/state/tsobs/postgres" in done.stdout
    assert "postgresql://" not in done.stdout + done.stderr
