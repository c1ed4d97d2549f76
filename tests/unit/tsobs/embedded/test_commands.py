from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from tsobs.embedded.commands import NOT_RUNNING, add_parser
from tsobs.errors import SetupError


def run(*words: str) -> int:
    parser = argparse.ArgumentParser(prog="tsobs")
    add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["db", *words])
    return int(args.run(args))


def test_what_was_never_started_is_not_running(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("status", "--data-dir", str(tmp_path)) == NOT_RUNNING == 3
    assert capsys.readouterr().out == f"not running (data: {tmp_path}/postgres)\n"
    assert run("stop", "--data-dir", str(tmp_path)) == 0
    assert capsys.readouterr().out == "it was not running\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["url", "psql"])
def test_and_says_how_to_start_it(tmp_path: Path, command: str) -> None:
    with pytest.raises(SetupError, match="tsobs db start"):
        run(command, "--data-dir", str(tmp_path))


@pytest.mark.parametrize("words", [(), ("start",), ("psql",)])
def test_help_is_worth_reading(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(*words, "--help")
    assert ("--data-dir" if words else "no Docker, no root") in capsys.readouterr().out
