"""No file names the machine it was written on: its package registries, its folders."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.meta.sources import ROOT, project_files

# What anybody's machine may have.
PUBLIC = re.compile(
    r"(^|\.)(debian\.org|ubuntu\.com|pypi\.org|pythonhosted\.org|npmjs\.org|postgresql\.org"
    r"|timescale\.com|github\.com|nodesource\.com|google\.com|googleapis\.com|localhost)$"
)
HOST = re.compile(r"\b(?:https?|file|mirror\+\w+)://(?:[^@/\s]*@)?([A-Za-z0-9.-]+)")
CONFIGURATION = (
    "/etc/apt/sources.list", "/etc/apt/sources.list.d", "/etc/apt/apt.conf.d", "/etc/pip.conf",
    "/etc/npmrc", "~/.config/pip/pip.conf", "~/.pip/pip.conf", "~/.npmrc",
)  # fmt: skip
VARIABLES = re.compile(r"^(PIP|UV|NPM_CONFIG|npm_config|HTTPS?_PROXY|https?_proxy)")
# Written apart, so that this file passes.
FOLDERS = re.compile("(?<![A-Za-z0-9_.-])/wo" + r"rk(/|\b(?!-))")


def configured_texts() -> Iterator[str]:
    for name in CONFIGURATION:
        place = Path(name).expanduser()
        for path in sorted(place.iterdir()) if place.is_dir() else [place]:
            if path.is_file() and os.access(path, os.R_OK):
                yield path.read_text(errors="replace")
    for name, value in os.environ.items():
        if VARIABLES.match(name):
            yield value


@functools.cache
def registry_hosts() -> frozenset[str]:
    found = {host.lower() for text in configured_texts() for host in HOST.findall(text)}
    return frozenset(host for host in found if "." in host and not PUBLIC.search(host))


@pytest.mark.parametrize("path", project_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_names_no_registry_and_no_folder_of_ours(path: Path) -> None:
    text = path.read_bytes().decode("utf-8", "replace").lower()
    assert not [host for host in registry_hosts() if host in text]
    assert not FOLDERS.search(text)
