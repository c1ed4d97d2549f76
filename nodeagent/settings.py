"""The agent's settings, declared once: flags, TSOBS_AGENT_* variables and their help derive from
the fields."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from nodeagent import __version__
from nodeagent.collectors import COLLECTOR_NAMES

__all__ = ["Request", "Settings", "SettingsError", "load", "table"]

_PREFIX = "TSOBS_AGENT_"
_LEVELS = ("debug", "info", "warning", "error")
_SUFFIXES = {"k": 1024, "m": 1024**2, "g": 1024**3}


class SettingsError(Exception):
    """A setting that is unknown or has a bad value; the text says which and why."""


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("give http://host:port or https://host:port")
    if parts.username or parts.query or parts.fragment:
        raise ValueError("only scheme, host, port and path; the token goes into a file")
    _ = parts.port  # ValueError when it is no number
    return text.rstrip("/")


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise ValueError(f"give {low:g} to {high:g} seconds")
        return value

    return parse


def _bytes(text: str) -> int:
    factor = _SUFFIXES.get(text[-1:].lower(), 1)
    value = int(text[:-1] if factor > 1 else text) * factor
    if value < 0:
        raise ValueError("give a size, for example 256M")
    return value


def _name(text: str) -> str:
    if not text or any(character.isspace() or character in "/\0" for character in text):
        raise ValueError("give a name without spaces and slashes")
    return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(_name(part.strip()) for part in text.split(",") if part.strip())


def _collectors(text: str) -> tuple[str, ...]:
    names = _names(text)
    for name in names:
        if name not in COLLECTOR_NAMES:
            raise ValueError(f"no collector {name!r}; there are {', '.join(COLLECTOR_NAMES)}")
    return names


def _folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise ValueError("no such folder")
    return path


def _folders(text: str) -> tuple[Path, ...]:
    # They may come later, with the first job.
    return tuple(Path(part.strip()) for part in text.split(",") if part.strip())


def _folder_or_none(text: str) -> Path | None:
    # It may come later, with the first event.
    return None if text == "none" else Path(text)


def _file(text: str) -> Path:
    path = Path(text)
    try:
        with path.open("rb"):
            return path
    except OSError as failure:
        raise ValueError(f"cannot be read: {failure.strerror}") from failure


def _level(text: str) -> str:
    if text.lower() not in _LEVELS:
        raise ValueError(f"give one of {', '.join(_LEVELS)}")
    return text.lower()


def _meta(parse: Callable[[str], Any], text: str) -> dict[str, Any]:
    return {"parse": parse, "help": text}


@dataclass(frozen=True)
class Settings:
    """Every setting with its default; base units, the unit in the name."""

    url: str = field(
        default="http://127.0.0.1:8080", metadata=_meta(_url, "address of the service")
    )
    token_file: Path | None = field(
        default=None, metadata=_meta(_file, "file with the bearer token")
    )
    ca_file: Path | None = field(
        default=None, metadata=_meta(_file, "certificates to trust for https, PEM")
    )
    timeout_s: float = field(
        default=10.0, metadata=_meta(_seconds(0.1, 300), "longest silence of the service, seconds")
    )
    interval_s: float = field(
        default=15.0, metadata=_meta(_seconds(0.2, 3600), "time between two rounds, seconds")
    )
    node_name: str | None = field(default=None, metadata=_meta(_name, "name of this node"))
    node_alias: tuple[str, ...] = field(
        default=(), metadata=_meta(_names, "other names of this node, comma-separated")
    )
    cluster: str | None = field(default=None, metadata=_meta(_name, "name of the cluster"))
    state_dir: Path = field(
        default=Path("/var/lib/tsobs-agent"), metadata=_meta(Path, "folder of state and spool")
    )
    spool_max_bytes: int = field(
        default=256 * 1024**2, metadata=_meta(_bytes, "most disk space for unsent batches")
    )
    event_dir: Path | None = field(
        default=Path("/var/spool/tsobs/events"),
        metadata=_meta(
            _folder_or_none, "hooks' unsent events, which the agent sends; none: it does not"
        ),
    )
    cgroup_root: Path = field(
        default=Path("/sys/fs/cgroup"), metadata=_meta(_folder, "where cgroups are mounted")
    )
    proc_root: Path = field(default=Path("/proc"), metadata=_meta(_folder, "where /proc is"))
    sys_root: Path = field(default=Path("/sys"), metadata=_meta(_folder, "where /sys is"))
    etc_root: Path = field(
        default=Path("/etc"),
        metadata=_meta(_folder, "where /etc is (machine-id, slurm/slurm.conf)"),
    )
    nvml_library: Path | None = field(
        default=None,
        metadata=_meta(_file, "NVIDIA's libnvidia-ml.so.1, where the linker does not find it"),
    )
    gpu_job_dirs: tuple[Path, ...] = field(
        default=(Path("/run/gpustat"),),
        metadata=_meta(_folders, "where prologs write which job holds which GPU, comma-separated"),
    )
    disable: tuple[str, ...] = field(
        default=(), metadata=_meta(_collectors, "collectors to leave out, comma-separated")
    )
    log_level: str = field(default="info", metadata=_meta(_level, "debug, info, warning or error"))


class Request(NamedTuple):
    """What the command line asks for: the settings, whether to do one round and print it, or to
    say how things stand (`doctor`), as JSON."""

    settings: Settings
    once: bool
    print: bool
    doctor: bool = False
    json: bool = False


def table() -> list[tuple[str, str, str, str]]:
    """Return (flag, variable, default, help) of each setting, in order."""
    rows = []
    for item in fields(Settings):
        rows.append((_flag(item), _variable(item), _default(item), item.metadata["help"]))
    return rows


def load(arguments: Sequence[str], environ: Mapping[str, str]) -> Request:
    """Return what flags, then variables, then defaults say; SettingsError names what is wrong."""
    options = vars(_parser().parse_args(arguments))
    known = {_variable(item) for item in fields(Settings)}
    for name in sorted(environ):
        if name.startswith(_PREFIX) and name not in known:
            raise SettingsError(f"{name}: there is no such setting")
    values: dict[str, Any] = {}
    for item in fields(Settings):
        for where, text in (
            (_flag(item), options[item.name]),
            (_variable(item), environ.get(_variable(item))),
        ):
            if text is not None:
                values[item.name] = _parse(item, where, text)
                break
    values["disable"] = _switched(values.get("disable", ()), options)
    if options["print"] and not options["once"]:
        raise SettingsError("--print: goes with --once")
    is_doctor = options["command"] == "doctor"
    if options["json"] and not is_doctor:
        raise SettingsError("--json: goes with doctor")
    return Request(
        Settings(**values), options["once"], options["print"], is_doctor, options["json"]
    )


def _parse(item: Field[Any], where: str, text: str) -> Any:
    try:
        return item.metadata["parse"](text)
    except ValueError as wrong:
        raise SettingsError(f"{where}: {text!r}: {wrong}") from wrong


def _switched(disabled: tuple[str, ...], options: Mapping[str, Any]) -> tuple[str, ...]:
    chosen = set(disabled)
    for name in COLLECTOR_NAMES:
        switch = options[f"collector.{name}"]
        if switch is not None:
            (chosen.discard if switch else chosen.add)(name)
    return tuple(sorted(chosen))


def _flag(item: Field[Any]) -> str:
    return "--" + _public_name(item).replace("_", "-")


def _variable(item: Field[Any]) -> str:
    return _PREFIX + _public_name(item).upper()


def _public_name(item: Field[Any]) -> str:
    # Seconds go without saying, and the help says it.
    return item.name[:-2] if item.name.endswith("_s") else item.name


def _default(item: Field[Any]) -> str:
    if isinstance(item.default, tuple):
        return ",".join(map(str, item.default))
    return "" if item.default is None else str(item.default)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tsobs-agent",
        description="Reads the cgroups of this node's jobs and the node itself, and posts to tsobs"
        " what was used.",
        epilog="Each setting may be given as a variable as well: --state-dir is"
        " TSOBS_AGENT_STATE_DIR. A flag wins.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"tsobs-agent {__version__}")
    parser.add_argument(
        "command",
        nargs="?",
        choices=["doctor"],
        help="say what is found here, what is measured and why not; ends with 1 when something"
        " that should work does not",
    )
    parser.add_argument("--json", action="store_true", help="with doctor: as JSON")
    parser.add_argument("--once", action="store_true", help="do one round, deliver it and end")
    parser.add_argument(
        "--print", action="store_true", help="with --once: show the batch; send and keep nothing"
    )
    for item in fields(Settings):
        shown = f" (default {_default(item)})" if _default(item) else ""
        parser.add_argument(
            _flag(item), dest=item.name, metavar="VALUE", help=item.metadata["help"] + shown
        )
    switches = parser.add_argument_group("collectors", "all on; --no-collector.NAME leaves one out")
    for name, text in COLLECTOR_NAMES.items():
        dest = f"collector.{name}"
        switches.add_argument(
            f"--collector.{name}", dest=dest, action="store_true", default=None, help=text
        )
        switches.add_argument(
            f"--no-collector.{name}", dest=dest, action="store_false", help=argparse.SUPPRESS
        )
    return parser
