"""Every named statement is prepared against the real schema, in the role that runs it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.sql.observing import Connection
from tsobs.sqlfiles import parse, sql_root

FILES = {path.stem: parse(path.read_text()) for path in (sql_root() / "queries").glob("*.sql")}

# The URL's own user: migrations, `tsobs token`, `tsobs serve` at its start.
OPERATOR = None
ROLES = {
    "clientjobs": "tsobs_ingest",
    "health": "tsobs_query",
    "ingest": "tsobs_ingest",
    "jobs": "tsobs_query",
    "metrics": "tsobs_query",
    "migrations": OPERATOR,
    "nodes": "tsobs_query",
    "remotewrite": "tsobs_ingest",
    "retention": OPERATOR,
    "tokens": OPERATOR,
    "totals": "tsobs_ingest",
}
# Statements that another role runs, too.
ALSO = {
    "count_tokens": "tsobs_query",
    "find_token": "tsobs_query",
    "touch_token": "tsobs_query",
    "lose_jobs": "tsobs_ingest",
    "maintain": "tsobs_ingest",
    "roll_samples": "tsobs_ingest",
    "end_series": "tsobs_ingest",
    "remove_series": "tsobs_ingest",
    "expire_bodies": "tsobs_ingest",
    "has_retention": "tsobs_ingest",
    # The answer to a write is the job as it is then.
    "find_jobs": "tsobs_ingest",
    "job_by_key": "tsobs_ingest",
    "job_usage": "tsobs_ingest",
    "job_gpu_usage": "tsobs_ingest",
    "job_reported_usage": "tsobs_ingest",
}
STATEMENTS = [
    (ROLES.get(area, "nobody yet: name the role in ROLES"), name, text)
    for area, statements in FILES.items()
    for name, text in statements.items()
] + [
    (ALSO[name], name, text)
    for statements in FILES.values()
    for name, text in statements.items()
    if name in ALSO
]


@pytest.fixture
async def roles(connection: Connection) -> Connection:
    """A connection with the temporary tables that statements of ingest use, for any role."""
    for name, text in FILES["totals"].items():
        if name.startswith("create_"):
            await connection.execute(text)
    await connection.execute("grant all on all tables in schema pg_temp to public")
    return connection


async def test_statements_are_sound(roles: Connection) -> None:
    for role, name, text in STATEMENTS:
        if role:
            await roles.execute(f"set session authorization {role}")
        prepared = await roles.prepare(text)
        # A plan is made, and rights are checked, when it runs; explain does both and runs nothing.
        if not text.partition("\n")[0].startswith(("create ", "set ")) and "set_config" not in text:
            await check_plan(roles, text, len(prepared.get_parameters()))
        await roles.execute("reset session authorization")
        documented = set(re.findall(r"\$\d+", "".join(re.findall(r"(?m)^--.*$", text))))
        expected = {f"${n}" for n in range(1, len(prepared.get_parameters()) + 1)}
        assert documented == expected, f"{name}: comments tell of {sorted(documented)}"


async def check_plan(connection: Connection, text: str, parameters: int) -> None:
    """Plans a statement and checks rights, without running it."""
    nulls = f"({', '.join(['null'] * parameters)})" if parameters else ""
    await connection.execute(f"prepare checked as {text}")
    await connection.execute(f"explain execute checked{nulls}")
    await connection.execute("deallocate checked")


def test_every_area_has_its_role() -> None:
    assert set(FILES) == set(ROLES)
    assert set(ALSO) <= {name for statements in FILES.values() for name in statements}


def test_files_hold_nothing_but_statements() -> None:
    for path in Path(sql_root() / "queries").glob("*.sql"):
        head = path.read_text().split("-- name:")[0]
        assert not re.sub(r"(?m)^--.*$", "", head).strip(), path.name
