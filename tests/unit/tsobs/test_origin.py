from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from tsobs.errors import Forbidden
from tsobs.origin import answer_preflight, check_browser, is_loopback


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST", "localhost.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1",
     "[::1]", "::ffff:127.0.0.1"],
)  # fmt: skip
def test_names_of_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "0.0.0.0", "::", "10.0.0.1", "127.0.0.1.evil.example", "localhost.evil.example",
     "evil-localhost", "2130706433", "::ffff:10.0.0.1"],
)  # fmt: skip
def test_other_names(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["[::1", "a:b:c", ":", "@localhost/"])
def test_a_broken_host_header_is_no_loopback(host: str) -> None:
    request = make_mocked_request("GET", "/", headers={"Host": host})
    with pytest.raises(Forbidden):
        check_browser(request, loopback=True, allowed_origin=None)


def test_the_same_origin_needs_the_same_port() -> None:
    headers = {"Host": "127.0.0.1:8080", "Origin": "http://127.0.0.1:8081"}
    request = make_mocked_request("POST", "/", headers=headers)
    with pytest.raises(Forbidden, match=r"127\.0\.0\.1:8081"):
        check_browser(request, loopback=True, allowed_origin=None)
    check_browser(request, loopback=True, allowed_origin="http://127.0.0.1:8081")


def test_a_preflight_is_answered_for_the_allowed_origin_only() -> None:
    headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    request = make_mocked_request("OPTIONS", "/", headers=headers)
    assert answer_preflight(request, None) is None
    assert answer_preflight(request, "https://b.example") is None
    answer = answer_preflight(request, "https://a.example")
    assert answer is not None
    assert answer.status == 204
    plain = make_mocked_request("OPTIONS", "/", headers={"Origin": "https://a.example"})
    assert answer_preflight(plain, "https://a.example") is None
