"""What people and programs are shown."""

from __future__ import annotations

import json

import pytest

from nodeagent.doctor.finding import Finding, Status
from nodeagent.doctor.report import as_json, as_text, is_well

FINDINGS = [
    Finding("cgroups", "version", Status.OK, "v2", "not shown"),
    Finding("cgroups", "Slurm", Status.WARNING, "no directory " * 20, "set ProctrackType " * 10),
    Finding("service", "reachable", Status.FAULT, "\x1b[2Jno\nanswer"),
    Finding("service", "clock", Status.ABSENT, ""),
]


@pytest.mark.parametrize("unicode", [True, False])
def test_text_keeps_its_width_and_shows_no_control_characters(unicode: bool) -> None:
    text = as_text(FINDINGS, width=80, colour=False, unicode=unicode)
    assert max(map(len, text.splitlines())) <= 80
    assert text.isascii() is not unicode
    assert "\x1b" not in text
    assert "not shown" not in text
    assert text.endswith("1 broken, 1 to look at\n")


def test_colours_are_for_terminals() -> None:
    assert "\x1b[31;1m✗\x1b[0m" in as_text(FINDINGS, width=80, colour=True, unicode=True)


def test_json_says_the_same() -> None:
    document = json.loads(as_json(FINDINGS))
    assert document["ok"] is False
    assert [each["status"] for each in document["findings"]] == ["ok", "warning", "fault", "absent"]
    assert document["findings"][0]["subject"] == "version"


def test_only_faults_are_unwell() -> None:
    assert not is_well(FINDINGS)
    assert is_well([each for each in FINDINGS if each.status is not Status.FAULT])
    assert "nothing broken, 1 to look at" in as_text(
        FINDINGS[:2], width=80, colour=False, unicode=True
    )
    assert "all is well" in as_text(FINDINGS[:1], width=80, colour=False, unicode=True)
