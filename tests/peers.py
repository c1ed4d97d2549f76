"""Programs of others that tests and benchmarks run ours beside, from the host's package archive."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from tsobs.embedded import fetch
from tsobs.embedded.places import cache_dir
from tsobs.errors import SetupError

__all__ = ["PEERS", "Peer"]


@dataclass(frozen=True, slots=True)
class Peer:
    """A program of a package in one suite of the archive, of at least this version."""

    program: str
    package: str
    suite: str
    minimum: tuple[int, int]

    @property
    def folder(self) -> Path:
        """Where its package is unpacked to; other programs of the package lie beside it."""
        return cache_dir() / f"{self.package}-{self.suite}"

    def path(self) -> Path:
        """The program, fetched if it is not there yet (of two who ask at once, one fetches).

        Raises SetupError where the archive cannot be read or has no such program or version.
        """
        place = fetch([self.package], suite=self.suite, into=self.folder)
        path = place / "usr/bin" / self.program
        if not path.is_file() or self._version() < self.minimum:
            wanted = ".".join(map(str, self.minimum))
            raise SetupError(
                f"{self.program} {wanted} or newer is wanted of the suite '{self.suite}', and"
                f" {place} has {self.package} {self._version()}. Remove it to fetch it again."
            )
        return path

    def _version(self) -> tuple[int, ...]:
        marker = json.loads((self.folder / ".tsobs.json").read_bytes())
        version = re.sub(r"^\d+:", "", marker["packages"][self.package])
        return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


PEERS = {
    "prometheus-2.42": Peer("prometheus", "prometheus", "bookworm", (2, 42)),
    "promtool-2.42": Peer("promtool", "prometheus", "bookworm", (2, 42)),
    "prometheus-3": Peer("prometheus", "prometheus", "sid", (3, 5)),
    "vmagent-1.79": Peer("vmagent", "victoria-metrics", "bookworm", (1, 79)),
    "vmagent-1.112": Peer("vmagent", "victoria-metrics", "trixie", (1, 112)),
    "victoria-metrics-1.112": Peer("victoria-metrics", "victoria-metrics", "trixie", (1, 112)),
    "node-exporter": Peer(
        "prometheus-node-exporter", "prometheus-node-exporter", "bookworm", (1, 5)
    ),
}
"""By name and version."""
