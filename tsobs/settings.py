"""Every setting, declared once: variables, flags, the file and the docs derive from here."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tsobs import addresses
from tsobs import settingkinds as kinds
from tsobs.errors import SetupError

__all__ = ["Loaded", "Setting", "Settings", "declared", "load"]

_MIB = 1024 * 1024


class Setting(NamedTuple):
    """One declared setting; `aliases` are variables without the TSOBS_ prefix that work too."""

    name: str
    kind: kinds.Kind
    default: Any
    unit: str
    help: str
    secret: bool
    aliases: tuple[str, ...]

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"TSOBS_{self.name.upper()}"

    @property
    def flag(self) -> str:
        """The command-line flag."""
        return f"--{self.name.replace('_', '-')}"


def _setting(
    kind: kinds.Kind,
    default: Any,
    help: str,
    *,
    unit: str = "",
    secret: bool = False,
    aliases: tuple[str, ...] = (),
) -> Any:
    row = {"kind": kind, "unit": unit, "help": help, "secret": secret, "aliases": aliases}
    return dataclasses.field(default=default, metadata=row, repr=not secret)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The values in force; `None` means not set."""

    database_url: str | None = _setting(
        addresses.DATABASE_URL,
        None,
        "PostgreSQL with TimescaleDB. Without it the embedded database is used, if it was started.",
        secret=True,
        aliases=("DATABASE_URL",),
    )
    read_database_url: str | None = _setting(
        addresses.DATABASE_URL,
        None,
        "a streaming replica to answer queries from; else `database_url`",
        secret=True,
    )
    host: str = _setting(
        addresses.HOST,
        "127.0.0.1",
        "the address to listen on; 0.0.0.0 is every address and needs tokens",
        aliases=("HOST",),
    )
    port: int = _setting(
        kinds.integer(0, 65535),
        8080,
        "the TCP port to listen on; 0 takes a free one",
        aliases=("PORT",),
    )
    insecure: bool = _setting(
        kinds.switch(),
        False,
        "listen beyond this machine although there is no token: whoever reaches the port may do "
        "everything, until the first token exists",
    )
    cors_origin: str | None = _setting(
        addresses.ORIGINS,
        None,
        "the web pages elsewhere that browsers may let use the service: origins (scheme, host and "
        "port) with commas between, or * for all",
        aliases=("CORS_ORIGIN",),
    )
    cluster: str = _setting(
        addresses.CLUSTER,
        "default",
        "the cluster of senders that do not name theirs",
        aliases=("CLUSTER",),
    )
    # No default here: a service that is started once without the variable must not drop samples.
    metrics_retention_days: int | None = _setting(
        kinds.integer(1, 3650),
        None,
        "how long raw samples are kept, and how old a sample may be to be accepted; not set: as "
        "the database has it, 7 in a new one",
        unit="days",
        aliases=("METRICS_RETENTION_DAYS",),
    )
    remote_write_retention_days: int | None = _setting(
        kinds.integer(1, 3650),
        None,
        "how long raw samples of remote-write are kept, and how old one may be to be accepted; not "
        "set: as the database has it, 30 in a new one",
        unit="days",
        aliases=("REMOTE_WRITE_RETENTION_DAYS",),
    )
    migrate: bool = _setting(kinds.switch(), False, "bring the schema up to date before serving")
    role: str = _setting(
        kinds.choice("all", "ingest", "query"), "all", "which part of the service this process is"
    )
    workers: int = _setting(
        kinds.integer(1, 64), 1, "processes that share the port, each with its own connections"
    )
    ingest_connections: int = _setting(
        kinds.integer(1, 100), 2, "database connections for writing, per process"
    )
    query_connections: int = _setting(
        kinds.integer(1, 100), 8, "database connections for reading, per process"
    )
    seed_metric_names: bool = _setting(
        kinds.switch(),
        False,
        "also serve hpc_node_jobs and hpc_jobs by their older names, hpc_node_job_count and "
        "hpc_job_state_total, for dashboards that have them",
        aliases=("SEED_METRIC_NAMES",),
    )
    ingest_flush_ms: int = _setting(
        kinds.integer(1, 200),
        200,
        "how long a batch may wait for others to share its commit; one that comes alone waits less",
        unit="milliseconds",
    )
    ingest_queue_bytes: int = _setting(
        kinds.integer(_MIB, 64 * 1024 * _MIB),
        32 * _MIB,
        "how much may wait to be written, as received (packed), per process; beyond it senders "
        "are told to try again",
        unit="bytes",
    )
    remote_write_connections: int = _setting(
        kinds.integer(1, 100),
        2,
        "database connections that write samples of remote-write, per process",
    )
    remote_write_cache_series: int = _setting(
        kinds.integer(1000, 100_000_000),
        1_000_000,
        "series whose id is remembered, per process; 100,000 take about 6 MB",
        unit="series",
    )
    remote_write_queue_bytes: int = _setting(
        kinds.integer(_MIB, 64 * 1024 * _MIB),
        64 * _MIB,
        "how much of remote-write may be on its way to the database, as received (packed), per "
        "process; beyond it senders are told to try again",
        unit="bytes",
    )
    max_body_bytes: int = _setting(
        kinds.integer(1024, 1024 * _MIB),
        4 * _MIB,
        "the largest request body, as sent; for remote-write it is that of the protocol",
        unit="bytes",
    )
    max_decoded_bytes: int = _setting(
        kinds.integer(1024, 1024 * _MIB),
        16 * _MIB,
        "the largest request body after decompression",
        unit="bytes",
    )
    request_timeout_s: float = _setting(
        kinds.number(1, 3600),
        60.0,
        "how long one request may take, its body included",
        unit="seconds",
    )
    shutdown_grace_s: float = _setting(
        kinds.number(0, 600),
        10.0,
        "how long requests in progress may take to finish when the service stops",
        unit="seconds",
    )
    log_level: str = _setting(
        kinds.choice("debug", "info", "warning", "error"),
        "info",
        "the least severe message that is logged",
        aliases=("LOG_LEVEL",),
    )
    log_format: str = _setting(
        kinds.choice("text", "json"), "text", "one line of text or one JSON object per message"
    )


class Loaded(NamedTuple):
    """Settings together with where each value came from."""

    settings: Settings
    origins: Mapping[str, str]


@functools.cache
def declared() -> tuple[Setting, ...]:
    """All settings in the order of the documents."""
    return tuple(
        Setting(name=row.name, default=row.default, **row.metadata)
        for row in dataclasses.fields(Settings)
    )


_CONFIG_VARIABLE = "TSOBS_CONFIG"
# Read elsewhere: the folders of the embedded database, the decoder, the tests and benchmarks.
_OTHER_VARIABLES = frozenset(
    {_CONFIG_VARIABLE, "TSOBS_CACHE_DIR", "TSOBS_DATA_DIR", "TSOBS_KERNEL"}
)
_OTHER_PREFIXES = ("TSOBS_TEST_", "TSOBS_BENCH_")
_SERVICE_LINK = re.compile("TSOBS_(SERVICE_|PORT_)")
_KUBERNETES = "; Kubernetes sets it for a service named tsobs: say enableServiceLinks: false"


def load(
    flags: Mapping[str, object], environ: Mapping[str, str], file: Path | None = None
) -> Loaded:
    """Settings from flags, then variables, then the file, then defaults.

    `flags` holds only what was given. A SetupError lists every unknown name and bad value at once.
    """
    if file is None and environ.get(_CONFIG_VARIABLE):
        file = Path(environ[_CONFIG_VARIABLE])
    problems: list[str] = []
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    entries = _read_file(file) if file else {}
    problems += _unknown_variables(environ) + _unknown_keys(entries, file)
    for setting in declared():
        found = _find(setting, flags, environ, entries, file)
        if found is None:
            origins[setting.name] = "default"
            continue
        value, origins[setting.name] = found
        try:
            values[setting.name] = setting.kind.parse(value)
        except ValueError as error:
            shown = "the value given" if setting.secret else repr(value)
            hint = _KUBERNETES if str(value).startswith("tcp://") else ""
            problems.append(f"{setting.name} {error}, not {shown} ({origins[setting.name]}){hint}")
    settings = Settings(**values)
    problems += [] if problems else _contradictions(settings)
    if problems:
        raise SetupError("\n  ".join(["the settings are wrong:", *problems]))
    return Loaded(settings, origins)


def _find(
    setting: Setting,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    entries: Mapping[str, object],
    file: Path | None,
) -> tuple[object, str] | None:
    if setting.name in flags:
        return flags[setting.name], f"flag {setting.flag}"
    for variable in (setting.variable, *setting.aliases):
        # Empty counts as not set: compose files pass variables on as "".
        if environ.get(variable):
            return environ[variable], f"variable {variable}"
    if setting.name in entries:
        return entries[setting.name], f"file {file}"
    return None


def _read_file(file: Path) -> dict[str, object]:
    import tomllib  # only where there is a file

    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SetupError(f"cannot read the settings file {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SetupError(f"the settings file {file} is not TOML: {error}") from None


def _unknown_keys(entries: Mapping[str, object], file: Path | None) -> list[str]:
    known = [setting.name for setting in declared()]
    return [
        f"{name} is no setting (file {file}){_nearest(name, known)}"
        for name in entries
        if name not in known
    ]


def _unknown_variables(environ: Mapping[str, str]) -> list[str]:
    known = [setting.variable for setting in declared()]
    problems = []
    for name in sorted(environ):
        if not name.startswith("TSOBS_") or name.startswith(_OTHER_PREFIXES):
            continue
        if name in known or name in _OTHER_VARIABLES:
            continue
        hint = _KUBERNETES if _SERVICE_LINK.match(name) else _nearest(name, known)
        problems.append(f"{name} is no setting (variable){hint}")
    return problems


def _nearest(name: str, known: list[str]) -> str:
    import difflib  # only when something is wrong: it would cost every start a few milliseconds

    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _contradictions(settings: Settings) -> list[str]:
    if settings.max_decoded_bytes < settings.max_body_bytes:
        return ["max_decoded_bytes must be at least max_body_bytes"]
    return []
