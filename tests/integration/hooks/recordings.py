"""What hooks of real Slurms were given, and what scontrol said from inside them."""

from __future__ import annotations

import functools
import tarfile
from pathlib import Path
from typing import NamedTuple

__all__ = ["Recorded", "recorded"]

RECORDED = Path(__file__).resolve().parents[2] / "fixtures" / "slurm-hooks" / "recorded.tar.xz"


class Recorded(NamedTuple):
    """What one hook was given by a real Slurm, and what scontrol said from inside it."""

    environment: dict[str, str]
    as_json: str | None
    as_text: str | None


@functools.cache
def recordings() -> dict[str, str]:
    """The recorded files by their path, `<version>/<case>/hooks/<job>/<hook>.<node>.<n>.<what>`."""
    with tarfile.open(RECORDED) as archive:
        return {
            member.name: file.read().decode()
            for member in archive
            if (file := archive.extractfile(member)) is not None
        }


def recorded(version: str, case: str, hook: str, run: int = 1, node: str = "") -> Recorded:
    """One recorded hook; `hook` is Slurm's name of the context."""
    (path,) = (
        name
        for name in recordings()
        if name.startswith(f"{version}/{case}/")
        and name.rpartition("/")[2].startswith(f"{hook}.{node}")
        and name.endswith(f".{run}.env")
    )
    lines = recordings()[path].splitlines()
    environment = dict(line.split("=", 1) for line in lines if "=" in line)
    stem = path.removesuffix(".env")
    return Recorded(
        environment, recordings().get(f"{stem}.job.json"), recordings().get(f"{stem}.job.txt")
    )
