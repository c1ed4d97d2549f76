"""A private apt: the host's sources, keys and proxies, with a state of its own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from tsobs.embedded.host import INSTALL_YOURSELF
from tsobs.embedded.packages import Package, newest, parse_packages, reached
from tsobs.embedded.process import Progress, ToolFailed, run_tool
from tsobs.embedded.sources import write_sources
from tsobs.errors import SetupError

__all__ = ["Apt"]

# Settings of the host that stay in force: proxies, certificates, credentials, keys. Its hooks
# would act on the system, and its pins and default release name another suite.
KEPT_SETTINGS = re.compile(
    r"(Acquire(::.*)?|Dir|Dir::Bin::methods|Dir::Etc|Dir::Etc::(trusted|netrc)(parts)?"
    r'|APT::Architecture|APT::(Authentication|Key|Hashes)(::.*)?) "[^"]*";'
)
# Relations that `apt-cache depends` would follow beside (Pre-)Depends.
OTHER_RELATIONS = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
COMPLAINT = re.compile(r"^(E|W|Err|Err:\d+): ?.*$", re.M)


class Apt:
    """apt for one suite, with all of its state in the new folder `folder`."""

    def __init__(self, folder: Path, *, codename: str, suite: str, progress: Progress) -> None:
        self.folder = folder
        self.codename = codename
        self.suite = suite
        self.progress = progress
        self._update_said = ""

    def update(self) -> None:
        """Read the archive's index; raises SetupError where no source is for the host's release."""
        for name in ("lists/partial", "archives/partial", "sources", "preferences", "log"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "status").touch()
        sources = self.folder / "sources"
        if not write_sources(
            _host_source_files(), sources, codename=self.codename, suite=self.suite
        ):
            raise SetupError(
                f"None of this host's apt sources is for its own release '{self.codename}', so "
                f"there is nowhere to fetch from. {INSTALL_YOURSELF}"
            )
        (self.folder / "apt.conf").write_text(self._configuration(), encoding="utf-8")
        self.progress(f"reading the package index of '{self.suite}' …")
        # One failing source of several is no reason to stop: what matters is whether the packages
        # are found in the end, and whoever misses one tells what was said here.
        self._update_said = self._tolerant("apt-get", "-q", "update")

    def _tool(self, *words: str, cwd: Path | None = None) -> str:
        return run_tool(words, env={"APT_CONFIG": str(self.folder / "apt.conf")}, cwd=cwd)

    def _tolerant(self, *words: str) -> str:
        try:
            return self._tool(*words)
        except ToolFailed as error:
            return error.output

    def _configuration(self) -> str:
        dump = run_tool(["apt-config", "dump", "--format", '%F "%V";%n'])
        kept = [line for line in dump.splitlines() if KEPT_SETTINGS.fullmatch(line)]
        own = {
            "Dir::State": self.folder,
            "Dir::State::lists": self.folder / "lists",
            "Dir::State::status": self.folder / "status",
            "Dir::Cache": self.folder,
            "Dir::Cache::archives": self.folder / "archives",
            "Dir::Cache::pkgcache": self.folder / "pkgcache.bin",
            "Dir::Cache::srcpkgcache": "",
            "Dir::Log": self.folder / "log",
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": "/dev/null",
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": self.folder / "sources",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": self.folder / "preferences",
            "Acquire::GzipIndexes": "true",
            "Acquire::Languages": "none",
            # apt as root drops to an account that may not enter our folders.
            "APT::Sandbox::User": "root",
        }
        # Without this the indexes of foreign architectures come too.
        if architecture := re.search(r'^APT::Architecture "(.+)";$', dump, re.M):
            own["APT::Architectures"] = architecture[1]
        if not any(line.startswith("Acquire::Retries ") for line in kept):
            own["Acquire::Retries"] = "1"
        return "\n".join([*kept, *(f'{name} "{value}";' for name, value in own.items()), ""])

    def closure(self, patterns: Sequence[str]) -> list[Package]:
        """The packages named (of those that a `*` matches, the newest) and the libraries they need.

        Raises SetupError when one is not in the archive or the archive could not be read.
        """
        names = self._tool("apt-cache", "pkgnames").split()
        roots = [self._root(pattern, names) for pattern in patterns]
        relations = [f"--no-{relation}" for relation in OTHER_RELATIONS]
        graph = self._tool("apt-cache", "depends", "--recurse", *relations, *roots)
        around = sorted({line for line in graph.splitlines() if line[:1].isalnum()})
        return reached(roots, self._show(around))

    def _show(self, names: Sequence[str]) -> dict[str, Package]:
        # It fails for virtual names, which have nothing to show, and shows the others.
        return parse_packages(self._tolerant("apt-cache", "show", "--no-all-versions", *names))

    def _root(self, pattern: str, names: Sequence[str]) -> str:
        matching = [name for name in names if fnmatchcase(name, pattern)]
        # A name without a version is known from another package's dependency on it.
        found = newest(self._show(matching)) if matching else None
        if found is not None:
            return found
        complaints = [match[0] for match in COMPLAINT.finditer(self._update_said)]
        if not complaints:
            raise SetupError(
                f"The suite '{self.suite}' of this host's package archive has no {pattern}. "
                f"{INSTALL_YOURSELF}"
            )
        raise SetupError(
            f"The package archive cannot be read (suite '{self.suite}'), so {pattern} cannot be "
            f"fetched. Check the network, the proxy and the host's apt sources; apt says:\n"
            + "\n".join(f"    {line}" for line in complaints[:6])
            + f"\n{INSTALL_YOURSELF}"
        )

    def download(self, packages: Sequence[Package], into: Path) -> None:
        """Fetch the packages to `into`; what is there already and whole is not fetched again."""
        here = _verified(into, {package.sha256 for package in packages}, remove_others=True)
        missing = [package for package in packages if package.sha256 not in here]
        if not missing:
            return
        total_mb = sum(package.download_bytes for package in packages) / 1e6

        def report() -> None:
            got_mb = sum(path.stat().st_size for path in into.iterdir()) / 1e6
            self.progress(f"… {got_mb:.0f} of {total_mb:.0f} MB")

        names = [f"{package.name}={package.version}" for package in missing]
        try:
            run_tool(
                ["apt-get", "-q", "download", *names],
                env={"APT_CONFIG": str(self.folder / "apt.conf")},
                cwd=into,
                on_wait=report,
            )
        except ToolFailed as error:
            raise _download_failed(error) from error
        here = _verified(into, {package.sha256 for package in packages}, remove_others=False)
        if lost := [package.name for package in missing if package.sha256 not in here]:
            raise SetupError(f"{', '.join(lost)} did not arrive whole. Run the same command again.")


def _download_failed(error: ToolFailed) -> Exception:
    complaints = [match[0] for match in COMPLAINT.finditer(error.output)]
    if not complaints or re.search(r"No space left|quota|write error", error.output, re.I):
        return error
    return SetupError(
        "A package cannot be fetched. What has arrived is kept: run the same command again. "
        "apt says:\n" + "\n".join(f"    {line}" for line in complaints[:6])
    )


def _verified(folder: Path, wanted: set[str], *, remove_others: bool) -> set[str]:
    """The SHA-256 sums in `wanted` for which `folder` has a file."""
    found: set[str] = set()
    for path in folder.iterdir():
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest in wanted:
            found.add(digest)
        elif remove_others:
            path.unlink()
    return found


def _host_source_files() -> list[Path]:
    """The host's source files in the order in which apt reads them."""
    shown = run_tool(
        [
            "apt-config",
            "shell",
            "LIST",
            "Dir::Etc::sourcelist/f",
            "PARTS",
            "Dir::Etc::sourceparts/d",
        ]
    )
    names = dict(re.findall(r"^(LIST|PARTS)='(.*)'$", shown, re.M))
    files = [Path(names["LIST"])] if "LIST" in names else []
    if "PARTS" in names and Path(names["PARTS"]).is_dir():
        files += sorted(Path(names["PARTS"]).iterdir())
    return [path for path in files if path.is_file()]
