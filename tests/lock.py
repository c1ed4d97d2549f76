"""Writes requirements-dev.txt anew: the newest versions that pyproject.toml's ranges allow."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements-dev.txt"
HEAD = (
    "# Locked versions for development and CI; "
    "`make lock` writes them anew from pyproject.toml's ranges.\n"
)


def wanted() -> list[str]:
    """What the service, its build and its development need, as ranges."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [
        *project["build-system"]["requires"],
        "editables",  # hatchling's editable installs
        *project["project"]["optional-dependencies"]["server"],
        *project["dependency-groups"]["dev"],
    ]


def freeze(folder: Path) -> list[str]:
    """Resolves and installs into a new environment; the exact versions that came of it."""
    venv.create(folder, with_pip=False, clear=True)
    # The caller's pip with its own configuration: a minimal Debian has no ensurepip.
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", *quiet, *wanted()], check=True)
    listed = subprocess.run(
        [*pip, "freeze", "--disable-pip-version-check"], check=True, capture_output=True, text=True
    ).stdout
    # A line with a URL would name where this machine gets its packages from.
    versions = [line for line in listed.splitlines() if "==" in line and "://" not in line]
    return sorted(versions, key=lambda line: line.partition("==")[0].lower())


def main() -> int:
    """Writes the file and says how many versions it has."""
    with tempfile.TemporaryDirectory(prefix="tsobs-lock-") as folder:
        versions = freeze(Path(folder))
    LOCK.write_text(HEAD + "\n".join(versions) + "\n")
    sys.stdout.write(f"{LOCK.name}: {len(versions)} versions\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
