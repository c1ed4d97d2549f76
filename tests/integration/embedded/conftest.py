"""Real packages in an archive of our own, so that fetching is tried without the network."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fix_db import quick_place
from tsobs.embedded.apt import Apt
from tsobs.embedded.host import host_release, suite_for
from tsobs.embedded.process import run_tool, silent

REPOSITORY = Path(__file__).resolve().parents[3]
Sources = Callable[..., None]
AsNobody = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A folder that every account of this machine can enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="tsobs-open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def open_path(open_folder: Path) -> Iterator[Path]:
    """A fresh folder in it for one test."""
    folder = Path(tempfile.mkdtemp(dir=open_folder))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def data_folder() -> Iterator[Path]:
    """The same for data: in memory where there is room, though programs may not run from there."""
    folder = Path(tempfile.mkdtemp(prefix="tsobs-data-", dir=quick_place()))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def data_path(data_folder: Path) -> Iterator[Path]:
    """A fresh folder in it for one test."""
    folder = Path(tempfile.mkdtemp(dir=data_folder))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def archive(open_folder: Path) -> Path:
    """A package archive of the real `hello`, `patchelf` and their libraries."""
    folder = open_folder / "archive"
    pool = folder / "pool"
    pool.mkdir(parents=True)
    codename = host_release()
    suite = suite_for(codename)
    apt = Apt(open_folder / "apt", codename=codename, suite=suite, progress=silent)
    apt.update()
    apt.download(apt.closure(["hello", "patchelf"]), pool)
    shutil.rmtree(open_folder / "apt")
    _write_index(folder, suite)
    run_tool(["chmod", "-R", "a+rX", folder])
    return folder


def _write_index(folder: Path, suite: str) -> None:
    architecture = run_tool(["dpkg", "--print-architecture"]).strip()
    records = []
    for deb in sorted((folder / "pool").iterdir()):
        facts = {
            "Filename": f"pool/{deb.name}",
            "Size": deb.stat().st_size,
            "SHA256": hashlib.sha256(deb.read_bytes()).hexdigest(),
        }
        lines = "".join(f"{name}: {value}\n" for name, value in facts.items())
        records.append(run_tool(["dpkg-deb", "--field", deb]) + lines)
    index = folder / f"dists/{suite}/main/binary-{architecture}/Packages"
    index.parent.mkdir(parents=True)
    index.write_text("\n".join(records))
    digest = hashlib.sha256(index.read_bytes()).hexdigest()
    (folder / f"dists/{suite}/Release").write_text(
        f"Suite: {suite}\nCodename: {suite}\nComponents: main\nArchitectures: {architecture}\n"
        "Date: Sat, 01 Aug 2026 00:00:00 UTC\n"
        f"SHA256:\n {digest} {index.stat().st_size} main/binary-{architecture}/Packages\n"
    )


@pytest.fixture
def sources(open_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sources:
    """Make these addresses the host's only package sources: `sources("file:/srv", …)`."""

    def write(*addresses: str, suite: str | None = None) -> None:
        listed = open_path / "sources.list"
        name = suite or host_release()
        listed.write_text(
            "".join(f"deb [trusted=yes] {address} {name} main\n" for address in addresses)
        )
        conf = open_path / "apt.conf"
        conf.write_text(
            f'Dir::Etc::sourcelist "{listed}";\nDir::Etc::sourceparts "/dev/null";\n'
            'APT::Default-Release "no-such-release";\n'
            'APT::Update::Pre-Invoke { "touch /hook-was-run; exit 1"; };\n'
        )
        monkeypatch.setenv("APT_CONFIG", str(conf))

    return write


@pytest.fixture
def as_nobody(open_path: Path) -> AsNobody:
    """Run Python code as an ordinary user with an empty home: as `nobody` when we are root."""
    home = open_path / "home"
    home.mkdir()

    def run(code: str, *, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPOSITORY),
            "APT_CONFIG": os.environ.get("APT_CONFIG", "/dev/null"),
        }
        drop: list[str] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        if os.geteuid() == 0:
            os.chown(home, 65534, 65534)
        words = [*(drop if os.geteuid() == 0 else []), _open_python(), "-c", code]
        return subprocess.run(
            words, env=environment, cwd="/", capture_output=True, text=True, timeout=timeout_s
        )

    return run


def _open_python() -> str:
    """A Python that `nobody` may run; ours may be in root's home."""
    own = Path(sys.executable).resolve()
    if all(folder.stat().st_mode & 0o001 for folder in own.parents):
        return sys.executable
    others = [Path(place) / "python3" for place in ("/usr/local/bin", "/usr/bin")]
    for python in others:
        probe = [str(python), "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        if python.exists() and subprocess.run(probe).returncode == 0:
            return str(python)
    pytest.skip("no Python 3.11 that an ordinary user may run")


@pytest.fixture
def small_disk(open_path: Path) -> Iterator[Callable[..., Path]]:
    """Mount a small file system: `small_disk("5m")`; needs root."""
    mounted: list[Path] = []

    def mount(size: str, *options: str) -> Path:
        if os.geteuid() != 0:
            pytest.skip("mounting needs root")
        place = open_path / f"disk{len(mounted)}"
        place.mkdir()
        chosen = ",".join([f"size={size}", "mode=0755", *options])
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", chosen, "tmpfs", place])
        if done.returncode != 0:
            pytest.skip("mounting is not permitted here")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", place], check=True)
