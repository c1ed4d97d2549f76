"""The settings as a person reads them: the table of the docs, and the values in force."""

from __future__ import annotations

import re
from typing import Any

from tsobs.settings import Loaded, Setting, declared

__all__ = ["mask", "render_markdown", "render_values"]

# To the last @: a password may hold one, and masking too much does no harm.
_PASSWORD = re.compile(r"(?<=//)(?P<user>[^/@:?]*):.*(?=@)")
_PASSWORD_PARAMETER = re.compile(r"(?<=[?&]password=)[^&#]*", re.IGNORECASE)


def mask(url: str) -> str:
    """A database URL without its password."""
    return _PASSWORD_PARAMETER.sub("***", _PASSWORD.sub(r"\g<user>:***", url))


def render_values(loaded: Loaded) -> str:
    """The values in force as TOML, each with its origin; secrets masked."""
    lines: list[str] = []
    for setting in declared():
        value = getattr(loaded.settings, setting.name)
        if value is None:
            lines.append(f"# {setting.name} is not set")
        else:
            shown = mask(value) if setting.secret else value
            lines.append(f"{setting.name} = {_toml(shown)}  # {loaded.origins[setting.name]}")
    return "\n".join(lines) + "\n"


def render_markdown() -> str:
    """The reference table: one row per setting."""
    rows = ["| setting | default | meaning | flag | variables |", "|---|---|---|---|---|"]
    rows += [_row(setting) for setting in declared()]
    return "\n".join(rows) + "\n"


def _row(setting: Setting) -> str:
    variables = ", ".join(f"`{name}`" for name in (setting.variable, *setting.aliases))
    meaning = f"{setting.help}. {setting.kind.rule[0].upper()}{setting.kind.rule[1:]}"
    if setting.unit:
        meaning += f" ({setting.unit})"
    if setting.secret:
        meaning += "; never printed whole"
    default = "not set" if setting.default is None else f"`{_toml(setting.default)}`"
    if setting.unit == "bytes":
        default += f" ({setting.default // 2**20} MiB)"
    meaning = re.sub(r"\.+", ".", meaning)
    return f"| `{setting.name}` | {default} | {meaning}. | `{setting.flag}` | {variables} |"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)
