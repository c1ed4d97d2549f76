from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from tsobs.demo.command import add_parser, options_of
from tsobs.demo.options import Options


def parse(*words: str) -> Options:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    return options_of(parser.parse_args(["demo", *words]))


def test_without_arguments_everything_is_as_usual() -> None:
    assert parse() == Options()


def test_every_option_arrives() -> None:
    words = "--host ::1 --port 0 --insecure --duration 2.5 --nodes 5 --seed 9 --history-hours 0.5"
    more = "--no-agent --fresh --data-dir /d --bin-dir /b"
    assert parse(*words.split(), *more.split()) == Options(
        host="::1",
        port=0,
        insecure=True,
        duration_s=2.5,
        nodes=5,
        seed=9,
        history_hours=0.5,
        agent=False,
        fresh=True,
        data_dir=Path("/d"),
        bin_dir=Path("/b"),
    )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--port 65536", "from 0 to 65535"),
        ("--port http", "from 0 to 65535"),
        ("--nodes 0", "from 1 to 200"),
        ("--seed -1", "'-1' is not a whole number"),
        ("--duration 0", "above 0"),
        ("--duration nan", "above 0"),
        ("--duration inf", "above 0"),
        ("--history-hours 161", "from 0 to 160"),
        ("--history-hours day", "from 0 to 160"),
    ],
)
def test_a_bad_value_says_what_would_be_good(
    words: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, _, value = words.partition(" ")
    with pytest.raises(SystemExit) as exit_:
        parse(f"{name}={value}")
    assert exit_.value.code == 2
    assert reason in capsys.readouterr().err


def test_the_help_says_what_is_simulated(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--help")
    text = capsys.readouterr().out
    assert "the cluster named `simulated`" in text
    assert "--port 0" in text
