"""Real senders of remote-write that scrape stub targets, and what each of them knows itself."""

from __future__ import annotations

import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from tests.peerprocess import PeerProcess, fetched, metric_sum
from tests.peers import PEERS
from tests.stubtargets import StubTargets

__all__ = ["SENDERS", "Kept", "Labels", "Sender", "make_sender"]

Labels = frozenset[tuple[str, str]]

V2 = "io.prometheus.write.v2.Request"
# Name in the tests → (peer, remote-write message).
SENDERS: Mapping[str, tuple[str, str | None]] = {
    "prometheus-2.42": ("prometheus-2.42", None),
    "prometheus-3-v1": ("prometheus-3", "prometheus.WriteRequest"),
    "prometheus-3-v2": ("prometheus-3", V2),
    "vmagent-1.79": ("vmagent-1.79", None),
    "vmagent-1.112": ("vmagent-1.112", None),
}
FAILED = r"prometheus_remote_storage_(samples|exemplars|histograms|metadata)_failed_total\S*"
PENDING = r"prometheus_remote_storage_(samples|exemplars|histograms)_pending\S*"
STUB = '{__name__=~"stub_.*"}'


class Kept(NamedTuple):
    """One series' samples in order: unix milliseconds, values (no stale markers)."""

    time_ms: list[int]
    values: list[float]


class Sender(ABC):
    """A sender that adds `sender="<name>"` to what it writes."""

    def __init__(self, name: str, stub: StubTargets, target_url: str, folder: Path) -> None:
        self.name = name
        self._stub = stub
        self._target_url = target_url
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @property
    @abstractmethod
    def process(self) -> PeerProcess:
        """The program."""

    def start(self) -> None:
        """Starts scraping and sending."""
        self._configure(is_scraping=True)
        self.process.start()

    def stop(self) -> None:
        """Ends it."""
        self.process.stop()

    def stop_scraping(self) -> None:
        """Nothing new from here on but the stale markers of what it scraped."""
        self._configure(is_scraping=False)
        fetched(f"{self.process.url}/-/reload", post=b"")

    def sum_of(self, pattern: str) -> float:
        """The sum of its own metrics that match."""
        return metric_sum(fetched(f"{self.process.url}/metrics"), pattern)

    @abstractmethod
    def is_sending(self) -> bool:
        """Whether what is scraped from now on will be sent."""

    @abstractmethod
    def pending(self) -> float:
        """What it has yet to send, in a unit of its own; 0 when all was answered."""

    @abstractmethod
    def failed(self) -> float:
        """What it gave up."""

    @abstractmethod
    def kept(self) -> dict[Labels, Kept]:
        """Its own data of the stub series."""

    def _configure(self, *, is_scraping: bool) -> None:
        config = self._config()
        if not is_scraping:
            # The jobs stay, without targets: only then do series end with stale markers.
            for scrape in config["scrape_configs"]:
                scrape["static_configs"] = []
        # JSON is YAML.
        (self._folder / "config.yml").write_text(json.dumps(config), encoding="utf-8")

    def _config(self) -> dict[str, Any]:
        scrapes = [
            {
                "job_name": f"stub{number}",
                "metrics_path": path,
                "params": {"by": [self.name]},
                "static_configs": [{"targets": [self._stub.address]}],
            }
            for number, path in enumerate(self._stub.paths)
        ]
        return {
            "global": {"scrape_interval": "1s", "external_labels": {"sender": self.name}},
            "scrape_configs": scrapes,
        }


class Prometheus(Sender):
    """Its own data are its TSDB, asked for raw."""

    def __init__(
        self, name: str, stub: StubTargets, target_url: str, folder: Path, message: str | None
    ) -> None:
        super().__init__(name, stub, target_url, folder)
        self._message = message
        words = [
            "--config.file={folder}/config.yml", "--storage.tsdb.path={folder}/data",
            "--web.listen-address=127.0.0.1:{port}", "--web.console.templates={folder}",
            "--web.console.libraries={folder}", "--web.enable-lifecycle",
        ]  # fmt: skip
        if message == V2:
            # A message of 2.0 carries the metadata that the log has, which by default is none.
            words.append("--enable-feature=metadata-wal-records")
        program = PEERS[SENDERS[name][0]].path()
        self._process = PeerProcess(program, words, folder, ready="/-/ready")

    @property
    def process(self) -> PeerProcess:
        """The program."""
        return self._process

    def _config(self) -> dict[str, Any]:
        write: dict[str, Any] = {
            "url": self._target_url,
            "metadata_config": {"send_interval": "2s"},
            "queue_config": {"batch_send_deadline": "1s", "max_samples_per_send": 2000},
        }
        if self._message:
            write["protobuf_message"] = self._message
        return {**super()._config(), "remote_write": [write]}

    def is_sending(self) -> bool:
        """It follows its log only from some seconds after its start."""
        return self.sum_of(r"prometheus_remote_storage_samples_total\S*") > 0

    def pending(self) -> float:
        """Samples, of which those count that it has not read from its log yet."""
        page = fetched(f"{self.process.url}/metrics")
        behind = metric_sum(page, "prometheus_remote_storage_highest_timestamp_in_seconds")
        behind -= metric_sum(
            page, r"prometheus_remote_storage_queue_highest_sent_timestamp_seconds\S*"
        )
        return metric_sum(page, PENDING) + max(0.0, behind)

    def failed(self) -> float:
        """Samples that were refused or lost."""
        return self.sum_of(FAILED)

    def kept(self) -> dict[Labels, Kept]:
        """By the API, a page at a time."""
        found = {}
        for path in self._stub.paths:
            job = f"stub{path.rpartition('/')[2]}"
            selector = quote(f'{{__name__=~"stub_.*",job="{job}"}}[1h]')
            answer = orjson.loads(fetched(f"{self.process.url}/api/v1/query?query={selector}"))
            for series in answer["data"]["result"]:
                times = [round(time_s * 1000) for time_s, _ in series["values"]]
                values = [float(text) for _, text in series["values"]]
                found[frozenset(series["metric"].items())] = Kept(times, values)
        return found


class Vmagent(Sender):
    """Its own data are what it wrote to a VictoriaMetrics at the same time."""

    def __init__(self, name: str, stub: StubTargets, target_url: str, folder: Path) -> None:
        super().__init__(name, stub, target_url, folder)
        words = ["-storageDataPath={folder}/data", "-httpListenAddr=127.0.0.1:{port}"]
        words += ["-retentionPeriod=1", "-search.maxExportSeries=1000000"]
        program = PEERS["victoria-metrics-1.112"].path()
        self._store = PeerProcess(program, words, folder / "store")
        self._agent: PeerProcess | None = None

    @property
    def process(self) -> PeerProcess:
        """The agent."""
        assert self._agent is not None
        return self._agent

    def start(self) -> None:
        """Starts the store, then the agent."""
        self._store.start()
        words = [
            "-promscrape.config={folder}/config.yml", "-httpListenAddr=127.0.0.1:{port}",
            f"-remoteWrite.url={self._target_url}",
            f"-remoteWrite.url={self._store.url}/api/v1/write",
            "-remoteWrite.tmpDataPath={folder}/queue", "-remoteWrite.flushInterval=1s",
        ]  # fmt: skip
        self._agent = PeerProcess(PEERS[SENDERS[self.name][0]].path(), words, self._folder)
        super().start()

    def stop(self) -> None:
        """Ends both."""
        if self._agent is not None:
            self._agent.stop()
        self._store.stop()

    def is_sending(self) -> bool:
        """From the first scrape on."""
        return True

    def pending(self) -> float:
        """Bytes in its queues."""
        return self.sum_of(r"vmagent_remotewrite_pending_data_bytes\S*")

    def failed(self) -> float:
        """Packets and rows that it gave up."""
        return self.sum_of(r"vmagent_remotewrite_\w*dropped\w*_total\S*")

    def kept(self) -> dict[Labels, Kept]:
        """By the store's export; it keeps no NaN, and so neither do we ask for one."""
        fetched(f"{self._store.url}/internal/force_flush")
        text = fetched(f"{self._store.url}/api/v1/export?match[]={quote(STUB)}")
        found: dict[Labels, Kept] = {}
        for line in text.splitlines():
            series = orjson.loads(line)
            labels = {k: v for k, v in series["metric"].items() if k != "sender"}
            pairs = zip(series["timestamps"], series["values"], strict=True)
            # Stale markers are null there, and so is no other value.
            real = [(time_ms, _number(value)) for time_ms, value in pairs if value is not None]
            if real:
                times, values = zip(*real, strict=True)
                found[frozenset(labels.items())] = Kept(list(times), list(values))
        return found


def _number(value: float | str) -> float:
    if isinstance(value, str):
        return math.copysign(math.inf, -1 if re.match("-", value) else 1)
    return value


def make_sender(name: str, stub: StubTargets, target_url: str, folder: Path) -> Sender:
    """The sender of that name in `SENDERS`, not started yet."""
    peer, message = SENDERS[name]
    if peer.startswith("vmagent"):
        return Vmagent(name, stub, target_url, folder)
    return Prometheus(name, stub, target_url, folder, message)
