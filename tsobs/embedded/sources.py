"""The host's own apt sources, rewritten for another suite of the same distribution."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["rewrite_deb822", "rewrite_list", "write_sources"]

# Pockets that never hold what we fetch, and would only cost time.
UNWANTED_POCKETS = ("-backports", "-proposed")
# What a file in sources.list.d must be called for apt to read it.
FILE_NAME = re.compile(r"[A-Za-z0-9_.-]+\.(list|sources)")
LIST_LINE = re.compile(
    r"deb\s+(?P<options>\[[^]]*\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>(\s+\S+)*)\s*"
)


def write_sources(files: Iterable[Path], into: Path, *, codename: str, suite: str) -> int:
    """Write the rewritten sources to the folder `into`; returns how many entries were kept."""
    kept = 0
    for number, path in enumerate(files):
        if not FILE_NAME.fullmatch(path.name):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        rewrite = rewrite_deb822 if path.suffix == ".sources" else rewrite_list
        entries = list(rewrite(text, codename=codename, suite=suite))
        if entries:
            target = into / f"{number:03}-{path.name}"
            target.write_text("\n".join(entries) + "\n", encoding="utf-8")
        kept += len(entries)
    return kept


def rewrite_list(text: str, *, codename: str, suite: str) -> Iterator[str]:
    """The one-line entries of the host's release, each with `suite` in place of `codename`."""
    for line in text.splitlines():
        match = LIST_LINE.fullmatch(line.split("#", 1)[0].strip())
        # A cdrom source would ask for the disc to be put in.
        if match is None or match["uri"].startswith("cdrom:"):
            continue
        renamed = _renamed(match["suite"], codename, suite)
        if renamed:
            yield (f"deb {match['options'] or ''}{match['uri']} {renamed}{match['components']}")


def rewrite_deb822(text: str, *, codename: str, suite: str) -> Iterator[str]:
    """The deb822 stanzas of the host's release, each with `suite` in place of `codename`."""
    for stanza in _stanzas(text):
        fields = {name.lower(): value for name, value in stanza}
        if fields.get("enabled", "yes").strip().lower() in {"no", "false", "0", "off"}:
            continue
        if "deb" not in fields.get("types", "").split():
            continue
        suites = [_renamed(one, codename, suite) for one in fields.get("suites", "").split()]
        wanted = [one for one in suites if one]
        if not wanted:
            continue
        replaced = {"types": "deb", "suites": " ".join(wanted)}
        lines = [f"{name}: {replaced.get(name.lower(), value)}" for name, value in stanza]
        yield "\n".join(lines) + "\n"


def _stanzas(text: str) -> Iterator[list[tuple[str, str]]]:
    """Fields in order, with continuation lines kept as they stand (an embedded key has them)."""
    stanza: list[tuple[str, str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if stanza:
                yield stanza
            stanza = []
        elif line[0] in " \t" and stanza:
            name, value = stanza[-1]
            stanza[-1] = (name, f"{value}\n{line}")
        elif ":" in line:
            name, value = line.split(":", 1)
            stanza.append((name.strip(), value.strip()))


def _renamed(name: str, codename: str, suite: str) -> str | None:
    """`bookworm-updates` → `trixie-updates`; None for a suite of something else."""
    if name != codename and not name.startswith(f"{codename}-"):
        return None
    pocket = name.removeprefix(codename)
    return None if pocket.startswith(UNWANTED_POCKETS) else f"{suite}{pocket}"
