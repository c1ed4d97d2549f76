"""The page of /metrics as its readers take it: both forms, hostile labels, odd numbers, a real
Prometheus, readers beside each other."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from yarl import URL

from query import metrics_api
from query.negotiation import OPENMETRICS, TEXT
from tests.integration.query.conftest import Asker, series
from tests.integration.query.site import Site
from tests.integration.query.test_metrics_api import N1, fill, lint

J1 = {"cluster": "alpha", "job_id": "1", "user": "alice", "node": "n1"}
HOSTILE = (
    'quote"brace} 1\n# TYPE x counter\nx{a="b"} 2',
    "back\\slash\\n\\",
    "\u00fcml\u00e4ut \u2028 \u0085 \U0001f680 \x1f \x7f",
    "'; drop table job; --",
    '"',
    "\\",
    "\n",
    "a,b=c",
)
ODD = (0.1, 5e-324, 1.7976931348623157e308, 1e22, 1e-7, 123456789.123456789, -0.0, 2.0**53 + 2)


async def openmetrics(ask: Asker) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    answer = await ask("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["Content-Type"] == OPENMETRICS
    families = text_string_to_metric_families(answer.text)  # type: ignore[no-untyped-call]
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


async def test_openmetrics_has_the_same_samples(site: Site, ask: Asker) -> None:
    await fill(site)
    strict = await openmetrics(ask)
    told = {key: value for key, value in strict.items() if key[0].startswith("hpc_")}
    moving = "hpc_job_runtime_seconds"
    plain = await ask.metrics()
    assert told.keys() == plain.keys()
    assert {k: v for k, v in told.items() if k[0] != moving} == {
        k: v for k, v in plain.items() if k[0] != moving
    }
    assert not [name for name, _ in strict if name.endswith("_created")]
    assert any(name.startswith("tsobs_") for name, _ in strict)


async def test_openmetrics_ends_and_declares_as_it_must(site: Site, ask: Asker) -> None:
    await fill(site)
    text = (await ask("/metrics", Accept="application/openmetrics-text")).text
    assert text.endswith("\n# EOF\n")
    assert text.count("# EOF") == 1
    assert (
        "# TYPE hpc_job_cpu_user_seconds counter\n# UNIT hpc_job_cpu_user_seconds seconds\n" in text
    )
    assert "# TYPE hpc_job counter\n" in text
    assert "# TYPE hpc_job_cpu_usage_percent gauge\n" in text
    plain = await ask("/metrics", Accept="*/*")
    assert plain.headers["Content-Type"] == TEXT
    assert "# EOF" not in plain.text


async def test_head_has_the_headers_of_the_form(ask: Asker) -> None:
    answer = await ask("/metrics", method="HEAD", Accept="application/openmetrics-text")
    assert (answer.status, answer.text) == (200, "")
    assert answer.headers["Content-Type"] == OPENMETRICS


async def fill_hostile(site: Site) -> None:
    for number, text in enumerate(HOSTILE):
        node = await site.node(text, agent_version=text, load1=ODD[number])
        job = await site.job(text, user_name=text, name=text, account=text)
        await site.job_node(job, node, cpu_user_s=abs(ODD[number]), memory_used_bytes=1.0)
        gpu = await site.gpu(node, f"GPU {text}", model=text, power_w=1.0)
        await site.job_gpu(job, gpu, node, utilization_ratio=1.0)


async def test_hostile_texts_are_labels_and_nothing_else(
    site: Site, ask: Asker, prometheus_bin: Path
) -> None:
    await fill_hostile(site)
    found = await openmetrics(ask)
    for number, text in enumerate(HOSTILE):
        labels = {"cluster": "alpha", "job_id": text, "user": text, "node": text}
        assert found[series("hpc_job_cpu_user_seconds_total", **labels)] == abs(ODD[number])
        load = found[series("hpc_node_cpu_load", cluster="alpha", node=text)]
        assert math.copysign(1.0, load) == math.copysign(1.0, ODD[number])
        assert load == ODD[number]
    assert {dict(key[1])["name"] for key in found if key[0] == "hpc_job_info"} == set(HOSTILE)
    text = (await ask("/metrics")).text
    assert await asyncio.to_thread(lint, prometheus_bin / "promtool", text) == (0, "", "")


async def test_what_is_no_number_is_absent_and_infinity_is_told(site: Site, ask: Asker) -> None:
    node = await site.node(load1=math.nan, load5=math.inf, load15=-math.inf)
    await site.job_node(
        await site.job(), node, cpu_user_s=math.nan, cpu_system_s=0.0, io_read_bytes=None
    )
    for found in (await ask.metrics(), await openmetrics(ask)):
        assert series("hpc_node_cpu_load", **N1) not in found
        assert found[series("hpc_node_load5", **N1)] == math.inf
        assert found[series("hpc_node_load15", **N1)] == -math.inf
        assert series("hpc_job_cpu_user_seconds_total", **J1) not in found
        assert found[series("hpc_job_cpu_system_seconds_total", **J1)] == 0.0


async def test_a_job_that_is_gone_from_its_node_is_not_shown(site: Site, ask: Asker) -> None:
    node = await site.node()
    job, back = await site.job("gone"), await site.job("back")
    gpu = await site.gpu(node)
    await site.job_gpu(job, gpu, node, utilization_ratio=1.0)
    await site.job_node(job, node, cpu_user_s=1.0, gone_at=site.now)
    await site.job_node(back, node, cpu_user_s=1.0, gone_at=site.at(-30))
    found = await ask.metrics()
    jobs = {dict(labels)["job_id"] for _, labels in found if "job_id" in dict(labels)}
    assert jobs == {"back"}
    assert found[series("hpc_node_jobs", **N1)] == 1


async def test_older_names_when_asked_for(
    site: Site, ask: Asker, start_service: Callable[..., Awaitable[str]]
) -> None:
    await fill(site)
    before = await ask.metrics()
    asked = Asker(ask.session, await start_service(role="query", seed_metric_names=True))
    after = await asked.metrics()
    added = {name for name, _ in after.keys() - before.keys()}
    assert added == {"hpc_node_job_count", "hpc_job_state_total"}
    assert after[series("hpc_node_job_count", **N1)] == 1
    assert after[series("hpc_job_state_total", state="running")] == 1
    assert {name for name, _ in await openmetrics(asked)} >= added


async def test_readers_beside_each_other_see_their_own(
    site: Site, ask_as: Callable[..., Awaitable[Asker]]
) -> None:
    """The texts of labels are shared by all pages; which of them are on a page is not."""
    users = ("alice", "bob", "carol")
    for number in range(60):
        node = await site.node(f"n{number}")
        job = await site.job(f"j{number}", user_name=users[number % 3])
        await site.job_node(job, node, cpu_user_s=float(number))
    askers = {user: await ask_as(user=user) for user in users}

    async def check(user: str) -> None:
        found = await askers[user].metrics()
        shown = {dict(labels)["user"] for _, labels in found if "user" in dict(labels)}
        assert shown == {user}
        numbers = {v for k, v in found.items() if k[0] == "hpc_job_cpu_user_seconds_total"}
        assert numbers == {float(n) for n in range(60) if users[n % 3] == user}

    await asyncio.gather(*(check(user) for user in users * 4))


async def test_a_page_changes_with_the_job(site: Site, ask: Asker) -> None:
    """No text of an older page stays in use."""
    await fill(site)
    await ask.metrics()
    await site.store.execute("update tsobs_store.job set account = 'maths', user_name = 'bob'")
    found = await ask.metrics()
    [labels] = [dict(labels) for name, labels in found if name == "hpc_job_info"]
    assert (labels["account"], labels["user"]) == ("maths", "bob")
    await site.store.execute("update tsobs_store.job set state = 'completed'")
    found = await ask.metrics()
    assert not [1 for _, labels in found if "job_id" in dict(labels)]


async def test_slow_readers_do_not_keep_others_waiting(
    site: Site, ask: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_api, "PIECE_BYTES", 1)
    for number in range(300):  # more than a socket takes without being read
        node = await site.node(f"node-{number:0>200}", load1=1.0, agent_version="x" * 10_000)
        await site.gpu(node, f"GPU-{number}", power_w=1.0)
    host = URL(ask.url)
    readers = []
    for _ in range(metrics_api.PAGES_AT_ONCE + 1):
        reader, writer = await asyncio.open_connection(host.host, host.port, limit=1024)
        writer.write(f"GET /metrics HTTP/1.1\r\nHost: {host.authority}\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        readers.append(writer)
    async with asyncio.timeout(10):
        assert (await ask("/metrics")).status == 200
    for writer in readers:
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def prometheus(
    ask: Asker, prometheus_bin: Path, tmp_path: Path, unused_tcp_port: int
) -> AsyncIterator[Callable[[str], Awaitable[list[Any]]]]:
    """Asks a Prometheus that scrapes the service every second."""
    host = ask.url.removeprefix("http://")
    (tmp_path / "p.yml").write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        f"scrape_configs: [{{job_name: tsobs, static_configs: [{{targets: ['{host}']}}]}}]\n"
    )
    address = f"127.0.0.1:{unused_tcp_port}"
    running = await asyncio.create_subprocess_exec(
        str(prometheus_bin / "prometheus"),
        f"--config.file={tmp_path / 'p.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address={address}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )

    async def query(expression: str) -> list[Any]:
        """Of a metric's name with a question mark: what Prometheus knows of it."""
        url = URL(f"http://{address}/api/v1")
        if expression.endswith("?"):
            url = (url / "metadata").with_query(metric=expression[:-1])
        else:
            url = (url / "query").with_query(query=expression)
        try:
            async with ask.session.get(url) as response:
                data = json.loads(await response.text())["data"]
        except (OSError, ValueError, KeyError):
            return []
        if "result" in data:
            return list(data["result"])
        return [known for each in data.values() for known in each]

    yield query
    running.terminate()
    await running.wait()


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    """What the condition gave, as soon as that is something."""
    async with asyncio.timeout(30):
        found = await condition()
        while not found:
            await asyncio.sleep(0.2)
            found = await condition()
        return found


async def test_prometheus_stores_what_was_meant(
    site: Site, prometheus: Callable[[str], Awaitable[list[Any]]]
) -> None:
    await fill_hostile(site)
    found = await until(lambda: prometheus("hpc_job_cpu_user_seconds_total"))
    stored = {each["metric"]["node"]: each for each in found}
    assert set(stored) == set(HOSTILE)
    for number, text in enumerate(HOSTILE):
        assert float(stored[text]["value"][1]) == abs(ODD[number])
        assert stored[text]["metric"]["user"] == stored[text]["metric"]["job_id"] == text
    loads = {
        each["metric"]["node"]: each["value"][1] for each in await prometheus("hpc_node_cpu_load")
    }
    assert {text: float(value) for text, value in loads.items()} == dict(
        zip(HOSTILE, ODD, strict=True)
    )
    [up] = await prometheus("up")
    assert up["value"][1] == "1"
    # Only OpenMetrics has units.
    [known] = await until(lambda: prometheus("hpc_job_memory_usage_bytes?"))
    assert (known["type"], known["unit"]) == ("gauge", "bytes")


async def test_a_job_that_ended_is_stale_at_the_next_scrape(
    site: Site, prometheus: Callable[[str], Awaitable[list[Any]]]
) -> None:
    """Not after the 5 minutes for which Prometheus looks back otherwise."""
    node = await site.node()
    ending, staying = await site.job("ending"), await site.job("staying")
    for job in (ending, staying):
        await site.job_node(job, node, cpu_user_s=1.0)
    selector = "hpc_job_cpu_user_seconds_total"

    async def jobs() -> set[str]:
        return {each["metric"]["job_id"] for each in await prometheus(selector)}

    async def both() -> bool:
        return await jobs() == {"ending", "staying"}

    async def one() -> bool:
        return await jobs() == {"staying"}

    await until(both)
    await site.store.execute(
        "update tsobs_store.job set state = 'completed', end_at = now() where job_key = $1", ending
    )
    async with asyncio.timeout(10):
        await until(one)
    assert len(await prometheus(f'{selector}{{job_id="ending"}} offset 0s')) == 0
    assert len(await prometheus(f'last_over_time({selector}{{job_id="ending"}}[1m])')) == 1
