"""What a request leaves in the service's own metrics."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.integration.ingest.remotewrite.test_retries import body
from tests.integration.ingest.remotewrite.writing import Remote, metric
from tests.remotebodies import V2Body, now_ms, packed, series, v1_body

NOW = now_ms() // 1000 * 1000


async def told(remote: Remote) -> dict[tuple[str, str], float]:
    """Samples by name and first label but the process."""
    async with remote.session.get(f"{remote.url}/metrics/service") as answer:
        families = text_string_to_metric_families(await answer.text())
    found = {}
    for family in families:
        for sample in family.samples:
            if sample.name.startswith("tsobs_remote_write_"):
                labels = [v for k, v in sample.labels.items() if k != "process"]
                found[sample.name.removeprefix("tsobs_remote_write_"), "".join(labels[:1])] = (
                    sample.value
                )
    return found


async def test_every_answer_is_counted(remote: Remote) -> None:
    mixed = v1_body(series(metric(), (NOW, 1.0)), series({"no": "name"}, (NOW, 1.0), (NOW, 2.0)))
    exemplar = V2Body().add(metric(), (NOW + 1, 1.0), exemplars=[([], 1.0, NOW)]).packed()
    for sent, version, status in (
        (body(0), 1, 204), (body(0), 1, 204), (body(1), 1, 204), (packed(b""), 1, 204),
        (mixed, 1, 400), (b"garbage", 1, 400), (b"garbage", 2, 400), (exemplar, 2, 204),
        (v1_body(series({"no": "name"})), 1, 400),
    ):  # fmt: skip
        assert (await remote.post(sent, version)).status == status
    assert (await remote.post(body(0), 1, {"Content-Encoding": "gzip"})).status == 415
    found = await told(remote)
    results = {label: n for (name, label), n in found.items() if name == "bodies_total"}
    assert results == {
        "stored": 3, "duplicate": 1, "empty": 1, "partial": 1, "refused": 4,
    }  # fmt: skip
    assert found["samples_total", "sample"] == 42
    assert found["samples_total", "exemplar"] == 1
    assert found["rejected_samples_total", "no metric name"] == 3
    assert found["series_total", ""] >= 64
    assert found["cache_hits_total", ""] >= 20
    assert found["cache_misses_total", ""] >= 21
    assert found["odd_series_total", ""] == 1
    assert found["cache_series", ""] >= 21
    assert found["commit_seconds_count", ""] >= 3
    assert found["held_bytes", ""] == 0
    assert ("kernel_info", "c") in found or ("kernel_info", "pure") in found
