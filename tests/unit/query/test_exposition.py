from __future__ import annotations

import gzip
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from query.declare import counter, gauge, info, split
from query.exposition import accepts_gzip, escape, gzipped, render

CPU = gauge("node", "cpu_percent", "ratio", "percent", "CPU use.")
MODES = split(
    "node", "cpu_seconds_total", "seconds", "By mode.", "mode", {"user": "u", "idle": "i"}
)
JOBS = counter("service", "jobs_total", "jobs", "", "Jobs.")


def page(*args: Any) -> str:
    return "".join(render(*args))


def node(**values: Any) -> dict[str, Any]:
    return {"cluster": "alpha", "node": "n1", **values}


def test_a_gauge_with_its_labels() -> None:
    assert page([CPU], {"node": [node(ratio=0.5), node(node="n2", ratio=0.0)]}) == (
        "# HELP cpu_percent CPU use.\n"
        "# TYPE cpu_percent gauge\n"
        'cpu_percent{cluster="alpha",node="n1"} 50.0\n'
        'cpu_percent{cluster="alpha",node="n2"} 0.0\n'
    )


def test_null_makes_no_line_and_no_lines_make_no_metric() -> None:
    assert page([CPU], {"node": [node(ratio=None)]}) == ""
    assert page([CPU], {"node": []}) == ""
    assert page([CPU], {}) == ""
    assert page([CPU], {"node": [node(ratio=None), node(node="n2", ratio=1.0)]}).count("\n") == 3


def test_a_metric_that_a_label_splits() -> None:
    assert page([MODES], {"node": [node(u=1.5, i=None), node(node="n2", u=2.0, i=3)]}) == (
        "# HELP cpu_seconds_total By mode.\n"
        "# TYPE cpu_seconds_total counter\n"
        'cpu_seconds_total{cluster="alpha",node="n1",mode="user"} 1.5\n'
        'cpu_seconds_total{cluster="alpha",node="n2",mode="user"} 2.0\n'
        'cpu_seconds_total{cluster="alpha",node="n2",mode="idle"} 3\n'
    )


def test_a_metric_without_labels() -> None:
    assert page([JOBS], {"service": [{"jobs": 7}]}).endswith("\njobs_total 7\n")


def test_metrics_with_other_labels_of_the_same_rows_keep_their_own() -> None:
    told = info("node", "node_info", "X.", "agent_version")
    text = page([told, CPU], {"node": [node(ratio=1.0, info=1, agent_version="0.1")]})
    assert 'node_info{cluster="alpha",node="n1",agent_version="0.1"} 1\n' in text
    assert 'cpu_percent{cluster="alpha",node="n1"} 100.0\n' in text


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a", "a"),
        ('a"b', 'a\\"b'),
        ("a\\b", "a\\\\b"),
        ("a\nb", "a\\nb"),
        ("\\n", "\\\\n"),
        ("é", "é"),
    ],
)
def test_escape(value: str, written: str) -> None:
    assert escape(value) == written


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00")),
            st.floats(allow_nan=False),
        ),
        min_size=1,
        unique_by=lambda pair: pair[0],
    )
)
def test_any_label_and_value_can_be_read_back(pairs: list[tuple[str, float]]) -> None:
    plain = gauge("node", "value_ratio", "ratio", "ratio", "X.")
    # The other parser cuts a text into lines where Unicode has line ends, too: ours has only \n.
    rows = [node(node=name.translate({c: None for c in b"\x0b\x0c\x1c\x1d\x1e"}), ratio=value)
            for name, value in pairs]  # fmt: skip
    rows = [row for row in rows if not set(row["node"]) & set("\x85\u2028\u2029")]
    unique = {row["node"]: row for row in rows}
    [family] = text_string_to_metric_families(
        page([plain], {"node": [*unique.values(), node(node="last", ratio=1.0)]})
    )
    read = {sample.labels["node"]: sample.value for sample in family.samples[:-1]}
    assert read == {name: row["ratio"] for name, row in unique.items()}


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("gzip; q=0", False),
        ("gzip;q=0.000, identity", False),
        ("", False),
        ("identity", False),
        ("x-gzip-not", False),
        ("br", False),
    ],
)
def test_accepts_gzip(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted


def test_gzipped_is_one_stream_of_the_same_bytes() -> None:
    pieces = [b"one" * 1000, b"", b"two" * 1000]
    assert gzip.decompress(b"".join(gzipped(iter(pieces)))) == b"".join(pieces)
