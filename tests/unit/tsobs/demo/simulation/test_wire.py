from __future__ import annotations

import gzip
import json

import numpy as np

from tsobs.demo.simulation.wire import encode_batch

BATCH = {
    "node": {"name": "n"},
    "tables": {
        "gpu_sample": {
            "time": np.array([15.0, 30.0]),
            "gpu": np.array([0.0, 1.0]),
            "job": np.array([np.nan, 2.0]),
            "power_w": np.array([61.5, 62.0]),
            "memory_used_bytes": np.array([1e10, 0.0]),
        }
    },
}


def test_it_is_the_json_that_an_agent_sends() -> None:
    text = gzip.decompress(encode_batch("a" * 32, 3, BATCH)).decode()
    assert json.loads(text) == {
        "stream": "a" * 32,
        "seq": 3,
        "node": {"name": "n"},
        "tables": {
            "gpu_sample": {
                "time": [15, 30],
                "gpu": [0, 1],
                "job": [None, 2],
                "power_w": [61.5, 62.0],
                "memory_used_bytes": [10_000_000_000, 0],
            }
        },
    }
    # Indexes are integers for the service, which takes no 2.0 for one.
    assert '"job":[null,2]' in text


def test_the_same_batch_is_the_same_bytes() -> None:
    assert encode_batch("a" * 32, 3, BATCH) == encode_batch("a" * 32, 3, BATCH)
    assert encode_batch("a" * 32, 4, BATCH) != encode_batch("a" * 32, 3, BATCH)
