"""match_series over 100,000 live series and 3 million dead ones."""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.sql.labelled import Store

FILL = Path(__file__).with_name("manyseries.sql")
NOW = datetime.now(UTC)
Matcher = tuple[str, str, str]
HOUR, MONTH = timedelta(hours=1), timedelta(days=31)
# Matchers, how far back, and how many are found of 100,000 live series and 100,000 jobs.
QUESTIONS: list[tuple[list[Matcher], timedelta, int]] = [
    ([("__name__", "=", "metric_40")], HOUR, 5_000),
    ([("__name__", "=", "metric_40"), ("node", "=", "n0017")], HOUR, 1),
    ([("node", "=", "n0017")], HOUR, 20),
    ([("__name__", "=~", "metric_4.*"), ("node", "=~", "n001.")], HOUR, 100),
    ([("__name__", "=", "metric_40"), ("cluster", "!=", "c1")], HOUR, 2_500),
    ([("__name__", "=", "metric_40"), ("job_id", "=", "")], HOUR, 5_000),
    ([("__name__", "=", "metric_40"), ("job_id", "!~", "1.+")], HOUR, 5_000),
    ([("__name__", "=", "metric_40"), ("rack", "=~", "rack1|rack2|")], HOUR, 50),
    (
        [("__name__", "=~", "metric_(31|32)"), ("node", "!~", "n0.*"), ("rack", "=~", ".+")],
        HOUR,
        8_002,
    ),
    ([("__name__", "=", "metric_3")], HOUR, 0),
    ([("job_id", "=", "4711")], MONTH, 30),
    ([("__name__", "=", "metric_3"), ("job_id", "=", "4711")], MONTH, 1),
    ([("__name__", "=", "metric_3"), ("job_id", "=~", "471.")], MONTH, 10),
    ([("__name__", "=", "metric_3"), ("node", "=", "n0017")], MONTH, 20),
    ([("user", "=", "user7"), ("__name__", "=", "metric_3")], MONTH, 200),
]  # fmt: skip


async def timed(store: Store, asked: list[Matcher], back: timedelta) -> tuple[int, float]:
    """How many, and the median of five in milliseconds."""
    found: set[int] = set()
    took = []
    for _ in range(5):
        began = time.perf_counter()
        found = await store.match(*asked, since=NOW - back)
        took.append((time.perf_counter() - began) * 1e3)
    return len(found), statistics.median(took)


async def ask_all(store: Store, jobs: int, live: int) -> list[tuple[int, float]]:
    """Fills the database and asks; the answers in the order of QUESTIONS."""
    text = FILL.read_text().replace(":jobs", str(jobs)).replace(":live", str(live))
    for statement in text.split(";\n"):
        if statement.strip():
            await store.connection.execute(statement)
    answers = []
    for asked, back, _ in QUESTIONS:
        answers.append(await timed(store, asked, back))
        print(f"{answers[-1][1]:7.1f} ms {answers[-1][0]:6d}  {asked} {back}")
    return answers


async def test_few_dead_series(store: Store) -> None:
    """The same questions over a hundredth."""
    answers = await ask_all(store, jobs=1_000, live=2_000)
    assert answers[0][0] == 100
    assert statistics.median(ms for _, ms in answers) < 50


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_three_million_dead_series(store: Store) -> None:
    answers = await ask_all(store, jobs=100_000, live=100_000)
    assert [n for n, _ in answers] == [wanted for _, _, wanted in QUESTIONS]
    assert max(ms for _, ms in answers) <= 50
