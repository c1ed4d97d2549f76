from __future__ import annotations

import gzip
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as read_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families

from query.declare import counter, gauge, info, split
from query.exposition import gzipped, render, written
from query.history import History
from query.labeltext import LabelTexts
from query.metric import Metric
from query.negotiation import OPENMETRICS, TEXT
from tests.unit.query.columns import table

CPU = gauge("node", "cpu_percent", "ratio", "percent", "CPU use.")
MODES = split(
    "node", "cpu_seconds_total", "seconds", "By mode.", "mode", {"user": "u", "idle": "i"}
)
JOBS = counter("service", "jobs_total", "jobs", "", "Jobs.")


def page(metrics: list[Metric], *rows: dict[str, Any], form: str = TEXT) -> str:
    relations = {metric.relation: table(rows) for metric in metrics}
    return b"".join(render(metrics, relations, LabelTexts(), form)).decode()


def node(**values: Any) -> dict[str, Any]:
    return {"cluster": "alpha", "node": "n1", **values}


def test_a_gauge_with_its_labels() -> None:
    assert page([CPU], node(ratio=0.5), node(node="n2", ratio=0.0)) == (
        "# HELP cpu_percent CPU use.\n"
        "# TYPE cpu_percent gauge\n"
        'cpu_percent{cluster="alpha",node="n1"} 50.0\n'
        'cpu_percent{cluster="alpha",node="n2"} 0.0\n'
    )


def test_what_is_unknown_makes_no_line_and_no_lines_make_no_metric() -> None:
    assert page([CPU], node(ratio=None)) == ""
    nothing = table([node(ratio=1.0)]).keep(np.array([False]))
    assert b"".join(render([CPU], {"node": nothing}, LabelTexts(), TEXT)) == b""
    assert page([CPU], node(ratio=None), node(node="n2", ratio=1.0)).count("\n") == 3


def test_a_metric_that_a_label_splits() -> None:
    assert page([MODES], node(u=1.5, i=None), node(node="n2", u=2.0, i=3.0)) == (
        "# HELP cpu_seconds_total By mode.\n"
        "# TYPE cpu_seconds_total counter\n"
        'cpu_seconds_total{mode="user",cluster="alpha",node="n1"} 1.5\n'
        'cpu_seconds_total{mode="user",cluster="alpha",node="n2"} 2.0\n'
        'cpu_seconds_total{mode="idle",cluster="alpha",node="n2"} 3.0\n'
    )


def test_a_metric_without_labels() -> None:
    assert page([JOBS], {"jobs": 7.0}).endswith("\njobs_total 7.0\n")


def test_metrics_with_other_labels_of_the_same_rows_keep_their_own() -> None:
    told = info("node", "node_info", "X.", History("node_sample", "1"), "agent_version")
    text = page([told, CPU], node(ratio=1.0, info=1.0, agent_version="0.1"))
    assert 'node_info{cluster="alpha",node="n1",agent_version="0.1"} 1.0\n' in text
    assert 'cpu_percent{cluster="alpha",node="n1"} 100.0\n' in text


def test_openmetrics_names_families_and_units() -> None:
    rows = node(u=1.5, i=2.0, ratio=0.5)
    assert page([MODES, CPU], rows, form=OPENMETRICS) == (
        "# TYPE cpu_seconds counter\n"
        "# UNIT cpu_seconds seconds\n"
        "# HELP cpu_seconds By mode.\n"
        'cpu_seconds_total{mode="user",cluster="alpha",node="n1"} 1.5\n'
        'cpu_seconds_total{mode="idle",cluster="alpha",node="n1"} 2.0\n'
        "# TYPE cpu_percent gauge\n"
        "# UNIT cpu_percent percent\n"
        "# HELP cpu_percent CPU use.\n"
        'cpu_percent{cluster="alpha",node="n1"} 50.0\n'
    )


def test_both_forms_have_the_same_samples() -> None:
    rows = [node(node=f"n{n}", u=n / 3, i=float(n), ratio=n / 7) for n in range(9)]
    text = text_string_to_metric_families(page([MODES, CPU], *rows))
    om = read_openmetrics(page([MODES, CPU], *rows, form=OPENMETRICS) + "# EOF\n")  # type: ignore[no-untyped-call]
    assert [s[:3] for f in text for s in f.samples] == [s[:3] for f in om for s in f.samples]


DOUBLES: tuple[float, ...] = (
    0.1,
    -0.0,
    5e-324,
    2.2250738585072014e-308,
    1.7976931348623157e308,
    1e15,
    1e16,
    1e21,
)
DOUBLES += (1e22, 123456789.12345678, 2.0**53 + 2, 1 / 3, math.inf, -math.inf)


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_a_number_is_read_back_as_it_was(values: list[float]) -> None:
    for given_values in (values, DOUBLES):
        texts = written(np.array(given_values))
        read = np.array([float(text) for text in texts])
        assert read.tobytes() == np.array(given_values).tobytes()


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
            st.floats(allow_nan=False),
        ),
        min_size=1,
        unique_by=lambda pair: pair[0],
    )
)
def test_any_label_and_value_can_be_read_back(pairs: list[tuple[str, float]]) -> None:
    plain = gauge("node", "value_ratio", "ratio", "ratio", "X.")
    rows = [node(node=name, ratio=value) for name, value in pairs]
    text = page([plain], *rows, form=OPENMETRICS) + "# EOF\n"
    [family] = read_openmetrics(text)  # type: ignore[no-untyped-call]
    assert {sample.labels["node"]: sample.value for sample in family.samples} == dict(pairs)


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_values_that_are_not_side_by_side_in_memory(scale: float) -> None:
    wide = np.arange(12.0).reshape(6, 2)
    assert written(wide[:, 1] * scale) == [str(n * scale).encode() for n in (1, 3, 5, 7, 9, 11)]
    assert written(wide[:, 0]) == [b"0.0", b"2.0", b"4.0", b"6.0", b"8.0", b"10.0"]


def test_gzipped_is_one_stream_of_the_same_bytes() -> None:
    pieces = [b"one" * 1000, b"", b"two" * 1000]
    assert gzip.decompress(b"".join(gzipped(iter(pieces)))) == b"".join(pieces)
