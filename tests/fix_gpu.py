"""A stand-in for NVIDIA's library, built here from tests/nvml_standin.c, that answers what a test
writes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

__all__ = ["Standin", "build_standin", "nvml_library", "standin"]

SOURCE = Path(__file__).with_name("nvml_standin.c")


def build_standin(folder: Path, *options: str) -> Path:
    """Compiles the library into a folder."""
    path = folder / "libnvidia-ml-standin.so"
    command = ["gcc", "-D_GNU_SOURCE", "-std=c11", "-Wall", "-Wextra", "-Werror", "-shared"]
    subprocess.run([*command, "-fPIC", *options, "-o", path, SOURCE], check=True)
    return path


class Standin:
    """What the library answers: lines as tests/nvml_standin.c explains them."""

    def __init__(self, library: Path, file: Path) -> None:
        self.library = library
        self.file = file
        self.write("")

    def write(self, *lines: str) -> None:
        """Answers this from the next look on."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text("".join(f"{line}\n" for line in lines))
        fresh.replace(self.file)


def gpu(n: int, *, minor: int | None = None, **values: object) -> str:
    """The line of a whole device: n makes its UUID and its PCI address."""
    told: dict[str, object] = {
        "uuid": uuid_of(n),
        "minor": n if minor is None else minor,
        "bus": f"00000000:{0x10 + n:02X}:00.0",
        "name": "NVIDIA_H100",
        **values,
    }
    return "gpu " + " ".join(f"{name}={value}" for name, value in told.items())


def mig(n: int, **values: object) -> str:
    """The line of an instance of the device above it."""
    told = {"uuid": f"MIG-00000000-0000-0000-0000-{n:012d}", **values}
    return "mig " + " ".join(f"{name}={value}" for name, value in told.items())


def uuid_of(n: int) -> str:
    """The UUID that `gpu` gives a device."""
    return f"GPU-00000000-0000-0000-0000-{n:012d}"


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled stand-in."""
    return build_standin(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def standin(nvml_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Standin:
    """The stand-in with a file of this test's own, which processes started here find too."""
    file = tmp_path / "nvml-standin.txt"
    monkeypatch.setenv("NVML_STANDIN", str(file))
    return Standin(nvml_library, file)
