"""The statements that sql/README.md shows are ones that a dashboard's role can run."""

from __future__ import annotations

import re

from tests.integration.sql.observing import Connection, Jobs
from tsobs.sqlfiles import sql_root

README = (sql_root() / "README.md").read_text()


async def test_examples_run(jobs: Jobs, connection: Connection) -> None:
    await jobs.started(0)
    examples = [
        statement
        for block in re.findall(r"(?s)```sql\n(.*?)```", README)
        for statement in re.sub(r"(?m)^--.*$", "", block).split(";")
        if statement.strip().startswith("select")
    ]
    assert len(examples) >= 2
    await connection.execute("set session authorization tsobs_grafana")
    for statement in examples:
        await connection.fetch(statement)


async def test_every_relation_is_told_of(connection: Connection) -> None:
    rows = await connection.fetch(
        "select relname::text from pg_class where relnamespace = 'tsobs'::regnamespace"
        " and relkind = 'v'"
    )
    untold = {row["relname"] for row in rows} - set(re.findall(r"`(\w+)`", README))
    assert not untold
