"""Findings as text for people, in colour on a terminal, and as JSON for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence

from nodeagent import __version__
from nodeagent.doctor.finding import Finding, Status

__all__ = ["as_json", "as_text", "is_well"]

_MARKS = {Status.OK: "✓", Status.ABSENT: "–", Status.WARNING: "!", Status.FAULT: "✗"}
_PLAIN = {Status.OK: "ok", Status.ABSENT: "--", Status.WARNING: "!!", Status.FAULT: "XX"}
_COLOURS = {Status.OK: "32", Status.ABSENT: "90", Status.WARNING: "33", Status.FAULT: "31;1"}
_SUBJECT_WIDTH = 30


def is_well(findings: Iterable[Finding]) -> bool:
    """Tell whether nothing that should work is broken."""
    return all(finding.status is not Status.FAULT for finding in findings)


def as_json(findings: Sequence[Finding]) -> str:
    """Return one JSON object: ok, version, and the findings."""
    document = {
        "ok": is_well(findings),
        "version": __version__,
        "findings": [{**each._asdict(), "status": each.status.value} for each in findings],
    }
    return json.dumps(document, indent=2)


def as_text(findings: Sequence[Finding], *, width: int, colour: bool, unicode: bool) -> str:
    """Return lines of at most about `width` columns, by section, advice below what it is about."""
    lines = [f"tsobs-agent {__version__}"]
    section = ""
    for finding in findings:
        if finding.section != section:
            section = finding.section
            lines += ["", _paint(section, "1", colour)]
        lines += _lines(finding, max(width, 60), colour, unicode)
    lines += ["", _summary(findings, colour)]
    return "\n".join(lines) + "\n"


def _lines(finding: Finding, width: int, colour: bool, unicode: bool) -> list[str]:
    mark = (_MARKS if unicode else _PLAIN)[finding.status]
    head = f"  {_paint(mark, _COLOURS[finding.status], colour)} "
    indent = " " * (4 + len(mark) - 1 + _SUBJECT_WIDTH + 1)
    # What is read from files or answered by others is shown, not obeyed.
    detail = "".join(c if c.isprintable() else "?" for c in finding.detail)
    room = width - len(indent)
    wrapped = textwrap.wrap(detail, room, break_on_hyphens=False) or [""]
    lines = [f"{head}{finding.subject:<{_SUBJECT_WIDTH}} {wrapped[0]}"]
    lines += [indent + line for line in wrapped[1:]]
    if finding.advice is not None and finding.status is not Status.OK:
        arrow = "→ " if unicode else "-> "
        advice = textwrap.wrap(finding.advice, room - len(arrow), break_on_hyphens=False)
        lines += [indent + (arrow if n == 0 else "  ") + text for n, text in enumerate(advice)]
    return lines


def _summary(findings: Sequence[Finding], colour: bool) -> str:
    faults = sum(each.status is Status.FAULT for each in findings)
    warnings = sum(each.status is Status.WARNING for each in findings)
    if faults:
        return _paint(f"{faults} broken, {warnings} to look at", "31;1", colour)
    if warnings:
        return _paint(f"nothing broken, {warnings} to look at", "33", colour)
    return _paint("all is well", "32", colour)


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text
