"""The delta rules, by example and by property: whatever happens, no use is counted twice or made
up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeagent.counters import Base, counter_key, job_deltas, next_base, node_deltas

DIRS = {"cpuacct": 10, "memory": 11}
USER = counter_key("cpuacct", "cpu_user_s")


def base(kind: str = "known", **counters: int) -> Base:
    return Base(
        kind, {counter_key("cpuacct", name): n for name, n in counters.items()}, DIRS, 1.0, 2.0
    )


@pytest.mark.parametrize(
    ("kind", "old", "new", "delta"),
    [
        ("known", 5, 8, 3),
        ("known", 5, 5, 0),
        ("known", 5, 4, None),
        ("zero", 5, 4, 4),
        ("unknown", 5, 8, None),
    ],
)
def test_a_counter(kind: str, old: int, new: int, delta: int | None) -> None:
    assert job_deltas(base(kind, cpu_user_s=old), DIRS, {USER: new}) == {"cpu_user_s": delta}


def test_a_recreated_cgroup_counts_from_zero_even_past_the_old_value() -> None:
    moved = {**DIRS, "cpuacct": 99}
    assert job_deltas(base(cpu_user_s=5), moved, {USER: 8}) == {"cpu_user_s": 8}


def test_an_absent_controller_counts_from_zero_and_an_unreadable_file_does_not() -> None:
    known = Base("known", {}, {"cpuacct": 10}, 1.0, 2.0)
    counters = {USER: 7, counter_key("memory", "page_faults"): 9}
    assert job_deltas(known, DIRS, counters) == {"cpu_user_s": None, "page_faults": 9}


def test_the_last_reading_of_a_controller_that_is_gone_counts() -> None:
    assert job_deltas(base(cpu_user_s=5), {"memory": 11}, {USER: 8}) == {"cpu_user_s": 3}


def test_parts_of_a_job_add_up_and_a_new_one_counts_from_zero() -> None:
    old = Base("known", {"memory:oom_kills|step_0#1": 1}, DIRS, 1.0, 2.0)
    now = {"memory:oom_kills|step_0#1": 2, "memory:oom_kills|step_1#2": 1}
    assert job_deltas(old, DIRS, now) == {"oom_kills": 2}


def test_a_device_of_the_node_that_is_new_or_went_back_makes_the_sum_unknown() -> None:
    old = Base("known", {"node:rx|eth0": 5, "node:rx|eth1": 5}, {"node": 0}, 1.0, 2.0)
    assert node_deltas(old, {"node:rx|eth0": 6, "node:rx|eth1": 7}) == {"rx": 3}
    assert node_deltas(old, {"node:rx|eth0": 6, "node:rx|eth1": 1}) == {"rx": None}
    assert node_deltas(old, {"node:rx|eth0": 6, "node:rx|ib0": 7}) == {"rx": None}
    assert node_deltas(old, {"node:rx|eth0": 6}) == {"rx": 1}
    assert node_deltas(old._replace(kind="unknown"), {"node:rx|eth0": 6}) == {"rx": None}


def test_iowait_may_step_back_a_little_and_is_not_counted_again() -> None:
    first = Base("known", {"node:cpu_iowait_s": 9_000_000_000}, {"node": 0}, 1.0, 2.0)
    back = {"node:cpu_iowait_s": 8_990_000_000}
    assert node_deltas(first, back) == {"cpu_iowait_s": 0}
    second = next_base(first, {"node": 0}, back, boot=2.0, wall=3.0)
    assert node_deltas(second, {"node:cpu_iowait_s": 9_010_000_000}) == {"cpu_iowait_s": 10_000_000}
    assert node_deltas(first, {"node:cpu_iowait_s": 1}) == {"cpu_iowait_s": None}


def test_what_could_not_be_read_keeps_its_old_value_until_it_can() -> None:
    second = next_base(base(cpu_user_s=5), DIRS, {}, boot=2.0, wall=3.0)
    assert job_deltas(second, DIRS, {USER: 9}) == {"cpu_user_s": 4}


def test_what_is_gone_is_forgotten() -> None:
    old = Base(
        "known", {USER: 5, "memory:oom_kills|a#1": 1, "memory:oom_kills|b#2": 1}, DIRS, 1.0, 2.0
    )
    new = next_base(old, {"memory": 11}, {}, boot=2.0, wall=3.0, parts=frozenset({"b#2"}))
    assert new.counters == {"memory:oom_kills|b#2": 1}
    assert new.dirs == {"memory": 11}


# What may happen to a counter between two rounds: it grows, cannot be read, or its cgroup is made
# anew.
_GROWS = st.tuples(st.just("grow"), st.integers(0, 10**12))
_EVENTS = st.lists(st.one_of(_GROWS, st.just(("hide", 0)), st.just(("recreate", 0))), max_size=40)


@given(_EVENTS)
def test_the_deltas_add_up_to_what_was_used(events: list[tuple[str, int]]) -> None:
    """Whatever is read or missed: never more than was used, and all of what was readable at the
    end."""
    now = Base("zero", {}, {}, 0.0, 0.0)
    inode, value, used, counted, lost, seen = 1, 0, 0, 0, 0, 0
    for number, (what, amount) in enumerate(events):
        hidden = what == "hide"
        if what == "grow":
            value += amount
            used += amount
        elif what == "recreate":
            # What the old one used since it was last read is gone with it.
            lost += value - seen
            inode, value, seen = inode + 1, 0, 0
        counters = {} if hidden else {USER: value}
        dirs = {"cpuacct": inode}
        delta = job_deltas(now, dirs, counters).get("cpu_user_s")
        first_missed = now.kind == "known" and USER not in now.counters and not hidden
        if delta is not None:
            counted += delta
        elif first_missed and now.dirs == dirs:
            lost += value - seen
        if not hidden:
            seen = value
        now = next_base(now, dirs, counters, boot=float(number), wall=0.0)
    assert counted + lost + (value - seen) == used


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=30))
def test_a_growing_counter_is_counted_exactly(steps: list[int]) -> None:
    now, value, total = Base("zero", {}, {}, 0.0, 0.0), 0, 0
    for step in steps:
        value += step
        delta = job_deltas(now, DIRS, {USER: value})["cpu_user_s"]
        assert delta is not None
        total += delta
        now = next_base(now, DIRS, {USER: value}, boot=0.0, wall=0.0)
    assert total == value


@given(st.dictionaries(st.sampled_from(["eth0", "eth1", "ib0"]), st.integers(0, 10**18)))
def test_node_deltas_are_never_negative(values: dict[str, int]) -> None:
    old = Base(
        "known", {f"node:rx|{name}": 10**17 for name in ("eth0", "eth1")}, {"node": 0}, 0.0, 0.0
    )
    for delta in node_deltas(old, {f"node:rx|{name}": n for name, n in values.items()}).values():
        assert delta is None or delta >= 0
