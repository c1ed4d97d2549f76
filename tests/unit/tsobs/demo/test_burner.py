from __future__ import annotations

import time

import pytest

from tsobs.demo.burner import burn


def test_it_burns_its_share() -> None:
    cpu_s = time.process_time()
    burn(0.3, time.monotonic() + 1.5)
    assert time.process_time() - cpu_s == pytest.approx(0.45, abs=0.15)
