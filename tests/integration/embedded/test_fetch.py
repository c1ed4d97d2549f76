from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.embedded.conftest import AsNobody, Sources
from tsobs.embedded import debian, fetch
from tsobs.embedded.host import host_release, suite_for
from tsobs.embedded.process import run_tool
from tsobs.errors import SetupError


@pytest.fixture
def suite() -> str:
    """The suite that the archive has."""
    return suite_for(host_release())


@pytest.fixture
def hello(archive: Path, sources: Sources, suite: str) -> Callable[..., Path]:
    """Fetch `hello` from the archive."""
    sources(f"file:{archive}")

    def run(into: Path, progress: Callable[[str], None] = lambda line: None) -> Path:
        return fetch(["hello"], suite=suite, into=into, progress=progress)

    return run


def says_hello(tree: Path) -> bool:
    """Whether the program runs on the loader and C library that were fetched with it."""
    said = run_tool([tree / "usr/bin/hello"], env={"LD_TRACE_LOADED_OBJECTS": "1"})
    assert f"{tree}/" in next(line for line in said.splitlines() if "libc.so" in line)
    return run_tool([tree / "usr/bin/hello"]) == "Hello, world!\n"


def test_a_program_runs_on_its_own_c_library(hello: Callable[..., Path], open_path: Path) -> None:
    lines: list[str] = []
    tree = hello(open_path / "cache/hello", lines.append)
    assert tree == open_path / "cache/hello"
    assert says_hello(tree)
    assert any("fetching hello and libraries (" in line for line in lines)
    left = {path.name for path in (open_path / "cache").iterdir()}
    assert left == {"hello", ".hello.lock"}
    assert not Path("/hook-was-run").exists()


def test_what_is_there_is_not_fetched_again(
    hello: Callable[..., Path], open_path: Path, sources: Sources
) -> None:
    hello(open_path / "hello")
    sources("http://127.0.0.1:9/debian")
    lines: list[str] = []
    hello(open_path / "hello", lines.append)
    assert lines == []


def test_the_package_list_may_hold_a_pattern(
    hello: Callable[..., Path], open_path: Path, suite: str
) -> None:
    fetch(["hell*"], suite=suite, into=open_path / "tree")
    assert says_hello(open_path / "tree")


def test_an_ordinary_user_can_fetch(
    archive: Path, sources: Sources, as_nobody: AsNobody, suite: str
) -> None:
    sources(f"file:{archive}")
    done = as_nobody(
        "import os, subprocess\n"
        "from tsobs.embedded import fetch\n"
        "from tsobs.embedded.places import cache_dir\n"
        f"tree = fetch(['hello'], suite={suite!r}, into=cache_dir() / 'hello')\n"
        "print(tree, subprocess.check_output([tree / 'usr/bin/hello'], text=True))\n"
    )
    assert done.returncode == 0, done.stderr
    assert "home/.cache/tsobs/hello Hello, world!" in done.stdout


def test_half_a_download_and_half_a_tree_are_made_good(
    hello: Callable[..., Path], open_path: Path, archive: Path
) -> None:
    work = open_path / ".hello.work"
    (work / "debs").mkdir(parents=True)
    debs = sorted((archive / "pool").iterdir())
    for deb in debs[:2]:
        shutil.copy(deb, work / "debs")
    whole, torn = (work / "debs" / deb.name for deb in debs[:2])
    torn.write_bytes(torn.read_bytes()[:1000])
    before = whole.stat().st_ino
    (work / "debs/hello_0.0_all.deb").write_bytes(b"of an older version")
    (work / "root/usr/bin").mkdir(parents=True)
    (work / "root/usr/bin/hello").write_bytes(b"half")
    (work / "apt/lists").mkdir(parents=True)
    kept: list[int] = []

    def watch(line: str) -> None:
        if line.startswith("unpacking"):
            kept.append(whole.stat().st_ino)

    assert says_hello(hello(open_path / "hello", watch))
    assert kept == [before]
    assert not work.exists()


def test_a_killed_fetch_is_taken_up_again(
    hello: Callable[..., Path], open_path: Path, suite: str
) -> None:
    into = open_path / "hello"
    with start_fetch(into, suite) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("unpacking"):
                break
        process.kill()
    assert not into.exists()
    assert (open_path / ".hello.work").exists()
    assert says_hello(hello(into))


def start_fetch(into: Path, suite: str) -> subprocess.Popen[str]:
    code = (
        "import pathlib\nfrom tsobs.embedded import fetch\n"
        f"fetch(['hello'], suite={suite!r}, into=pathlib.Path({str(into)!r}),"
        " progress=lambda line: print(line, flush=True))\n"
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_of_two_at_once_the_second_waits(
    hello: Callable[..., Path], open_path: Path, suite: str
) -> None:
    into = open_path / "hello"
    with start_fetch(into, suite) as first, start_fetch(into, suite) as second:
        said = [first.communicate()[0], second.communicate()[0]]
        assert (first.returncode, second.returncode) == (0, 0)
    assert sorted("another tsobs is fetching hello" in text for text in said) == [False, True]
    assert sorted("unpacking" in text for text in said) == [False, True]
    assert says_hello(into)


def test_no_network_is_told(sources: Sources, open_path: Path, suite: str) -> None:
    sources("http://127.0.0.1:9/debian")
    started = time.monotonic()
    with pytest.raises(SetupError) as caught:
        fetch(["hello"], suite=suite, into=open_path / "hello")
    for words in ("cannot be read", "Check the network", "127.0.0.1:9", "DATABASE_URL"):
        assert words in caught.value.message
    assert time.monotonic() - started < 20


def test_a_source_that_does_not_answer_is_no_matter(
    archive: Path, sources: Sources, open_path: Path, suite: str
) -> None:
    sources("http://127.0.0.1:9/tools", f"file:{archive}")
    assert says_hello(fetch(["hello"], suite=suite, into=open_path / "hello"))


def test_an_archive_without_the_package_is_told(
    hello: Callable[..., Path], open_path: Path, suite: str
) -> None:
    with pytest.raises(SetupError, match=f"'{suite}' of this host's .* has no no-such-package"):
        fetch(["no-such-package"], suite=suite, into=open_path / "x")


def test_sources_of_other_releases_alone_are_told(
    archive: Path, sources: Sources, open_path: Path
) -> None:
    sources(f"file:{archive}", suite="stable")
    with pytest.raises(SetupError, match=f"is for its own release '{host_release()}'"):
        fetch(["hello"], into=open_path / "x")


def test_another_distribution_is_told_what_to_do(
    open_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(open_path))
    with pytest.raises(SetupError, match=r"has no apt-get(.|\n)*DATABASE_URL"):
        fetch(["hello"], into=open_path / "hello")


def test_a_package_that_vanished_from_the_archive_is_told(
    hello: Callable[..., Path], archive: Path, open_path: Path
) -> None:
    (deb,) = (archive / "pool").glob("hello_*")
    aside = deb.rename(archive / "aside")
    try:
        with pytest.raises(SetupError, match="A package cannot be fetched"):
            hello(open_path / "hello")
    finally:
        aside.rename(deb)
    assert says_hello(hello(open_path / "hello"))


@pytest.mark.root
def test_too_little_disk_is_told_beforehand(
    hello: Callable[..., Path], small_disk: Callable[..., Path]
) -> None:
    disk = small_disk("5m")
    with pytest.raises(SetupError, match=r"needs 100 MB in .*TSOBS_CACHE_DIR"):
        hello(disk / "hello")


@pytest.mark.root
def test_a_disk_that_runs_full_is_told(
    hello: Callable[..., Path], small_disk: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = small_disk("12m")
    # As if another program took the room after we looked.
    monkeypatch.setattr(debian, "require_free", lambda *args, **kwargs: None)
    with pytest.raises(SetupError, match=r"The disk of .* is full"):
        hello(disk / "hello")
    assert not (disk / "hello").exists()
    run_tool(["mount", "-o", "remount,size=100m", disk])
    assert says_hello(hello(disk / "hello"))


@pytest.mark.root
def test_a_read_only_cache_is_told(
    hello: Callable[..., Path], small_disk: Callable[..., Path]
) -> None:
    disk = small_disk("200m")
    hello(disk / "hello")
    run_tool(["mount", "-o", "remount,ro", disk])
    assert says_hello(hello(disk / "hello"))
    with pytest.raises(SetupError, match=r"Cannot write to .*Read-only.*TSOBS_CACHE_DIR"):
        hello(disk / "again")


@pytest.mark.root
def test_a_cache_where_nothing_may_be_run_is_told(
    hello: Callable[..., Path], small_disk: Callable[..., Path]
) -> None:
    with pytest.raises(SetupError, match=r"noexec.*TSOBS_CACHE_DIR"):
        hello(small_disk("200m", "noexec") / "hello")


def test_a_closed_cache_is_told(as_nobody: AsNobody) -> None:
    done = as_nobody(
        "import pathlib\nfrom tsobs.embedded import fetch\nfrom tsobs.errors import SetupError\n"
        "try: fetch(['hello'], into=pathlib.Path('/usr/lib/tsobs-test/hello'))\n"
        "except SetupError as error: print(error)\n"
    )
    assert "Cannot write to /usr/lib/tsobs-test: Permission denied" in done.stdout, done.stderr
