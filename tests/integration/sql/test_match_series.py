"""match_series beside a model of Prometheus' rules, and its regular expressions beside RE2's."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.sql.labelled import Store
from tests.integration.sql.observing import Connection

NOW = datetime.now(UTC)
Matcher = tuple[str, str, str]

# Expressions on which Python and RE2 agree; those with a beginning, alternatives, empty ones.
REGEXES = (
    "a|b|", "a|b", "a.*", "a.+", ".*", ".+", "", "[ab]1?", "(a|b)2", "b?", "ab*", "a1|c.*", ".*1",
    "[^a].*", "(?i)A1", "c", "aa{1,2}", "(?:a|b)(?P<n>1)",
)  # fmt: skip
VALUES = ("", "a", "b", "c", "a1", "a2", "b1", "b2", "aa", "aaa", "abbb", "A1", "c\n1")
NAMES = ("__name__", "job", "node", "job_id", "absent")
SINCE = (None, NOW - timedelta(days=2), NOW - timedelta(hours=2), NOW)
SETTINGS = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
matchers = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(["=", "!="]), st.sampled_from(VALUES))
    | st.tuples(st.sampled_from(NAMES), st.sampled_from(["=~", "!~"]), st.sampled_from(REGEXES)),
    max_size=4,
)


def model(labels: Mapping[str, str], matcher: Matcher) -> bool:
    """Prometheus' rule: the whole value, and no label is an empty one."""
    name, op, wanted = matcher
    value = labels.get(name, "")
    if op in ("=", "!="):
        return (value == wanted) == (op == "=")
    return bool(re.fullmatch(wanted, value, re.DOTALL)) == (op == "=~")


class Universe(NamedTuple):
    """Series by id; a third ended a day ago, a third an hour ago."""

    store: Store
    labels: dict[int, dict[str, str]]
    ends: dict[int, datetime | None]


@pytest.fixture(params=["few", "many"])
async def universe(request: pytest.FixtureRequest, store: Store) -> Universe:
    """With labels of few values; and as if each had many, so they are asked of what was found."""
    if request.param == "many":
        await store.connection.execute(
            "create or replace function tsobs_store.has_many_values(p_name text) returns boolean"
            " language sql stable as 'select true'"
        )
    order = random.Random(4)
    drawn = {
        tuple(sorted({name: order.choice(VALUES[1:]) for name in picked}.items()))
        for _ in range(300)
        for picked in [order.sample(NAMES[:-1], order.randint(1, 4))]
    }
    sets = [dict(pairs) for pairs in sorted(drawn)]
    ids = await store.series(*sets)
    dead = (None, NOW - timedelta(days=1), NOW - timedelta(hours=1))
    ends = {series_id: dead[n % 3] for n, series_id in enumerate(ids)}
    await store.connection.executemany(
        "update tsobs_store.series set ended_at = $2 where series_id = $1", ends.items()
    )
    return Universe(store, dict(zip(ids, sets, strict=True)), ends)


@SETTINGS
@given(asked=matchers, since=st.sampled_from(SINCE))
async def test_matchers_mean_what_they_mean_in_prometheus(
    universe: Universe, asked: list[Matcher], since: datetime | None
) -> None:
    wanted = {
        series_id
        for series_id, labels in universe.labels.items()
        if all(model(labels, matcher) for matcher in asked)
        and (since is None or (end := universe.ends[series_id]) is None or end >= since)
    }
    assert await universe.store.match(*asked, since=since) == wanted


@pytest.mark.parametrize(
    ("regex", "value", "wanted"),
    [
        (r"\d+", "12", True),
        (r"\d+", "١", False),
        (r"\w+", "é", False),
        ("[[:alpha:]]+", "ab", True),
        ("[[:alpha:]]+", "é", False),
        ("[[:word:]]+", "a_1", True),
        (r"\s", "\v", False),
        (r"[\s]", "\t", True),
        (r"\Qa.b\E+", "a.bbb", True),
        (r"\Qa.b\E+", "axb", False),
        (r"\Qa.b", "a.b", True),
        (r"\x{41}b\x62", "Abb", True),
        (r"\bfoo\b.*", "foo bar", True),
        (r"\bfoo\b.*", "foobar", False),
        (r"\Aa\z", "a", True),
        ("a{,2}", "a{,2}", True),
        ("[]a]+", "]a", True),
        ("[^]a]", "]", False),
        ("[a[b]+", "[b", True),
        (r"[a\]b]+", "]b", True),
        ("(?s)a.b", "a\nb", True),
        ("a.b", "a\nb", True),
        ("a$", "a\n", False),
        ("(?i)AbC", "aBc", True),
        ("(?P<n>a)(?<m>b)", "ab", True),
        ("***=a", "***=a", None),
        (r"(a)\1", "aa", None),
        ("a(?=b)", "ab", None),
        ("a(?i)b", "aB", None),
        ("(?m)a", "a", None),
        (r"\pL", "a", None),
        (r"\C", "a", None),
        ("[", "[", None),
        ("*a", "a", None),
        ("a{1001}", "a", None),
    ],
)
async def test_regular_expressions_are_re2s(
    connection: Connection, regex: str, value: str, wanted: bool | None
) -> None:
    """None: refused, by RE2 as well or because PostgreSQL cannot say it; never another meaning."""
    question = connection.fetchval("select tsobs_store.value_matches($1, '=~', $2)", value, regex)
    if wanted is None:
        with pytest.raises(asyncpg.InvalidRegularExpressionError):
            await question
    else:
        assert await question is wanted


async def test_a_beginning_is_read_in_the_index(store: Store) -> None:
    """And means the same as without: where the next letter is optional, and in other letters."""
    names = ["ab", "a", "abc", "acd", "b", "äb", "äc", "a" * 300, "a" * 300 + "b"]
    ids = await store.series(*({"__name__": name} for name in names))
    for regex in ("ab.*", "ab?.*", "abc*", "a", "ä.*", "a{300}.*", "a" * 299 + ".*", "b|a.*"):
        wanted = {i for i, n in zip(ids, names, strict=True) if re.fullmatch(regex, n, re.DOTALL)}
        try:
            assert await store.match(("__name__", "=~", regex)) == wanted, regex
        except asyncpg.InvalidRegularExpressionError:
            # PostgreSQL counts to 255, RE2 to 1000: documented
            assert "{300}" in regex


async def test_what_is_no_matcher_is_refused(store: Store) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await store.match(("a", "==", "b"))


async def test_series_of_a_metric_for_sql(store: Store, connection: Connection) -> None:
    a, b = await store.series({"__name__": "m", "x": "1"}, {"__name__": "m", "x": "2"})
    await connection.execute("set session authorization tsobs_grafana")
    assert await connection.fetchval("select array(select tsobs.series_of('m'))") == [a, b]
    one = await connection.fetchval(
        "select array(select tsobs.series_of('m', jsonb_build_object('x', '2')))"
    )
    assert one == [b]
