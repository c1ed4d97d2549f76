from __future__ import annotations

import pytest

from tsobs.addresses import CLUSTER, DATABASE_URL, HOST, ORIGINS


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://h/d",
        "postgres://u:p%40@h:5432/d?sslmode=require",
        "postgresql:///tsobs?host=/run/postgresql",
        "postgresql://u@[::1]:5433/d",
    ],
)
def test_database_urls(url: str) -> None:
    assert DATABASE_URL.parse(url) == url


@pytest.mark.parametrize(
    "url",
    ["", "h/d", "mysql://h/d", "postgresql+asyncpg://h/d", "postgresql://h", "postgresql://h:x/d",
     "postgresql://h/d\nHost: x", 5],
)  # fmt: skip
def test_other_urls_are_refused(url: object) -> None:
    with pytest.raises(ValueError, match="must look like postgresql://"):
        DATABASE_URL.parse(url)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::", "0.0.0.0", "fe80::1%eth0", "n1.site"])
def test_hosts(host: str) -> None:
    assert HOST.parse(host) == host


@pytest.mark.parametrize("host", ["", "a b", "http://h", "-x", "h/"])
def test_other_hosts_are_refused(host: str) -> None:
    with pytest.raises(ValueError, match="host name"):
        HOST.parse(host)


@pytest.mark.parametrize("name", ["alpha", "a.b-c_9"])
def test_cluster_names(name: str) -> None:
    assert CLUSTER.parse(name) == name


@pytest.mark.parametrize("name", ["", "a:b", "a b", "x" * 65, "a/b"])
def test_cluster_names_that_would_need_quoting_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        CLUSTER.parse(name)


@pytest.mark.parametrize("origins", ["*", "https://a", "https://a:8443, http://b,https://[::1]"])
def test_origins(origins: str) -> None:
    assert ORIGINS.parse(origins) == origins


@pytest.mark.parametrize(
    "origins", ["", "https://a/", "https://a;https://b", "null", "*,https://a"]
)
def test_what_is_no_origin_is_refused(origins: str) -> None:
    with pytest.raises(ValueError, match="origins such as"):
        ORIGINS.parse(origins)
