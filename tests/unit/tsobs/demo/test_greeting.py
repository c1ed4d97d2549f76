from __future__ import annotations

from pathlib import Path

from tsobs.demo.greeting import Real, Simulated, greeting

URL = "http://127.0.0.1:8080"
SIMULATED = Simulated(nodes=20, gpus=16, running=38, jobs=1234, died="100042")


def text(real: Real | None, simulated: Simulated = SIMULATED, *, has_tokens: bool = False) -> str:
    return greeting(
        URL,
        23.2,
        real=real,
        simulated=simulated,
        has_tokens=has_tokens,
        folder=Path("/var/lib/tsobs/my demo"),
    )


def test_it_says_what_is_real_and_what_is_not() -> None:
    said = text(Real("node7", 3, None))
    assert f"tsobs is ready at {URL}   (after 24 s; Ctrl-C stops it all)" in said
    assert 'REAL       cluster "local": this host, node node7, read by an agent' in said
    assert "job 3 in a real cgroup burns 20% of one CPU and holds 64 MiB" in said
    assert 'SIMULATED  cluster "simulated": 20 nodes, 16 GPUs; 1,234 jobs, 38 of them' in said
    assert "made up" in said


def test_there_are_three_things_to_try() -> None:
    tries = [line for line in text(None).splitlines() if line.startswith("  curl")]
    assert len(tries) == 3
    assert f"{URL}/v1/jobs/100042 " in tries[2]
    assert "/v1/nodes" in text(None, SIMULATED._replace(died=None))


def test_where_there_are_tokens_one_is_asked_for() -> None:
    assert "Authorization: Bearer" in text(None, has_tokens=True)
    assert "Authorization" not in text(None)


def test_what_is_not_there_is_said_with_its_reason() -> None:
    assert "no job of its own: making a cgroup needs root" in text(
        Real("node7", None, "making a cgroup needs root")
    )
    assert "REAL       nothing: there is no agent" in text(None)


def test_a_folder_can_be_pasted_into_a_shell() -> None:
    assert "--data-dir '/var/lib/tsobs/my demo'" in text(None)
