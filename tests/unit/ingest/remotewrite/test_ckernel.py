"""The compiled kernel beside the pure one: equal whatever happened before; and any thread's."""

from __future__ import annotations

import importlib
import itertools
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hatch_build
from ingest.remotewrite import ckernel, purekernel
from ingest.remotewrite.decoded import Limits, Malformed
from tests.unit.ingest.remotewrite.bodies import (
    NOW_MS,
    bodies1,
    bodies2,
    body1,
    field,
    sample,
    series1,
)
from tests.unit.ingest.remotewrite.oracle import outline

has_compiler = hatch_build.compiler_reason() == ""
compiled = pytest.mark.parametrize("kernel", [ckernel] if ckernel.AVAILABLE else [])


def test_it_is_there_where_a_compiler_is() -> None:
    assert ckernel.AVAILABLE or not has_compiler


@compiled
def test_both_kernels_stay_equal(kernel: ModuleType) -> None:
    steps = st.one_of(
        st.tuples(st.just("decode"), st.tuples(st.just(1), bodies1())),
        st.tuples(st.just("decode"), st.tuples(st.just(2), bodies2())),
        st.tuples(st.just("forget"), st.sets(st.integers(0, 20), max_size=4)),
        st.tuples(st.just("find"), st.lists(st.integers(0, 9), max_size=5)),
        st.tuples(st.just("clear"), st.none()),
    )

    @settings(
        max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow],
    )  # fmt: skip
    @given(st.sampled_from([1, 2, 3, 50]), st.lists(steps, max_size=12))
    def check(capacity: int, given_steps: list[tuple[str, Any]]) -> None:
        pair = Pair(kernel.SeriesCache(capacity), purekernel.SeriesCache(capacity))
        for hour, (step, argument) in enumerate(given_steps):
            getattr(pair, step)(argument, hour // 2)
            assert len(pair.one) == len(pair.other)
            assert pair.one.evictions == pair.other.evictions

    check()


class Pair:
    """Two caches to which the same happens."""

    def __init__(self, one: Any, other: Any) -> None:
        self.one = one
        self.other = other
        self.ids = itertools.count()

    def decode(self, given_body: tuple[int, bytes], hour: int) -> None:
        version, body = given_body
        found = []
        for cache in (self.one, self.other):
            try:
                found.append(cache.decode(body, version, hour))
            except Malformed:
                found.append(None)
        assert (found[0] is None) == (found[1] is None)
        if found[0] is None:
            return
        assert outline(found[0]) == outline(found[1])
        ids = [next(self.ids) for _ in found[0].unknown]
        for cache, decoded in zip((self.one, self.other), found, strict=True):
            cache.put([each.fingerprint for each in decoded.unknown], ids, hour)
            cache.learned([each.fingerprint for each in decoded.news[:1]])

    def forget(self, ids: set[int], hour: int) -> None:
        assert self.one.forget(ids) == self.other.forget(ids)

    def find(self, numbers: list[int], hour: int) -> None:
        keys = [bytes([number]) * 16 for number in numbers]
        found = [cache.find(keys, hour) for cache in (self.one, self.other)]
        assert found[0][0].tolist() == found[1][0].tolist()
        assert set(found[0][1].tolist()) == set(found[1][1].tolist())
        self.one.put(keys[:2], [1000 + n for n in numbers[:2]], hour)
        self.other.put(keys[:2], [1000 + n for n in numbers[:2]], hour)

    def clear(self, _: None, hour: int) -> None:
        self.one.clear()
        self.other.clear()


@compiled
def test_any_thread_may_call(kernel: ModuleType) -> None:
    cache = kernel.SeriesCache(500)
    bodies = [
        body1([series1([(b"__name__", b"m%d" % n)], [(NOW_MS, n)]) for n in range(at, at + 300)])
        for at in range(0, 900, 100)
    ]
    wrong: list[Any] = []

    def work(body: bytes) -> None:
        for _ in range(60):
            found = cache.decode(body, 1, 7)
            known = found.series_id >= 0
            # A series' id and its sample's bits are one number here.
            if (found.series_id[known] != found.bits[known].astype(np.int64)).any():
                wrong.append(found)
            rows = {-1 - int(code): int(found.bits[n]) for n, code in enumerate(found.series_id)}
            ids = [rows[n] for n in range(len(found.unknown))]
            cache.put([each.fingerprint for each in found.unknown], ids, 7)
            cache.forget(ids[:3])

    threads = [threading.Thread(target=work, args=[body]) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(cache) <= 500


@compiled
def test_others_run_while_it_decodes_and_copies(kernel: ModuleType) -> None:
    body = body1([series1([(b"__name__", b"m" * 4000)], [(NOW_MS, 1)])] * 6000)
    cache = kernel.SeriesCache(10)
    rows = np.random.default_rng(1).integers(0, 1 << 40, 600_000)
    for call in (
        lambda: cache.decode(body, 1, 7),
        lambda: kernel.copy_rows(rows, rows, rows.view(np.uint64)),
    ):
        done = threading.Event()

        def work(call: Any = call, done: threading.Event = done) -> None:
            call()
            done.set()

        thread = threading.Thread(target=work)
        turns = 0
        thread.start()
        while not done.is_set():
            turns += 1
        thread.join()
        # Holding the lock it would let this thread go on only when it is done.
        assert turns > 1000


@pytest.mark.parametrize("compiler", [[]] if has_compiler else [])
def test_it_compiles_without_a_warning(compiler: list[str], tmp_path: Path) -> None:
    strict = ["-Werror", "-Wshadow", "-Wconversion", "-Wundef", "-Wvla"]
    done = subprocess.run(
        [*hatch_build.compile_command(tmp_path / "kernel.so"), *strict],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@compiled
def test_one_series_of_a_million_samples_is_bounded_too(kernel: ModuleType) -> None:
    body = body1([field(2, sample(NOW_MS, 1)) * (Limits.SAMPLES + 1)])
    with pytest.raises(Malformed, match="more than"):
        kernel.SeriesCache(10).decode(body, 1, 7)


@compiled
def test_one_binary_is_for_every_python(kernel: ModuleType) -> None:
    module = importlib.import_module("ingest.remotewrite._kernel")
    assert str(module.__file__).endswith("_kernel.abi3.so")
    assert sysconfig.get_config_var("EXT_SUFFIX") not in str(module.__file__)


def test_a_kernel_of_an_older_source_is_not_used() -> None:
    code = (
        "from ingest.remotewrite import _kernel; _kernel.INTERFACE += 1\n"
        "from ingest.remotewrite import kernel; print(kernel.KERNEL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "pure\n"
