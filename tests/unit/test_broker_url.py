"""A broker's URL: what can't be used is said clearly, and a password is never shown."""

from __future__ import annotations

import contextlib
import traceback
from urllib.parse import quote

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from producer import CeleryExecutor
from producer.broker import BrokerUnavailableError, connect, queue_name, shown, unavailable, workers

HIDDEN = "s3cr3t"

with_password = pytest.mark.parametrize(
    "url",
    [
        f"redis://:{HIDDEN}@host:6379/0",
        f"redis://user:{HIDDEN}@host/0",
        f"rediss://user:{HIDDEN}@host:6380/1?ssl_cert_reqs=required",
        f"redis://user:{HIDDEN}@[::1]:6379/0",
        f"redis://:@{HIDDEN}@host/0",
        f"redis://:a/{HIDDEN}@host:6379/0",  # not quoted as it should be
        f"redis://:a#{HIDDEN}@host:6379/0",
        f"redis://:a?{HIDDEN}@host:6379/0",
        f"redis://host:6379/0?password={HIDDEN}",
        f"redis://host/0?db=1&PASSWORD={HIDDEN}&username=u",
        f"redis+socket:///tmp/broker.sock?virtual_host=1&password={HIDDEN}",
        f"redis://[::1:{HIDDEN}@host/0",
        f"redis://:{HIDDEN}@host:port/0",
        f"redis://:{HIDDEN}/more@host/0",
        f"redis://{HIDDEN}/more@host:port/0",
        f"amqp://guest:{HIDDEN}@host//",
        f"sentinel://:{HIDDEN}@one:26379;sentinel://:{HIDDEN}@two:26379",
        f":{HIDDEN}@host",
    ],
)


@with_password
def test_a_password_is_never_shown(url: str) -> None:
    assert HIDDEN not in shown(url)
    assert HIDDEN not in str(unavailable(url, redis.ConnectionError("gone")))


@with_password
def test_no_error_about_a_url_shows_its_password(url: str) -> None:
    told = ""
    try:
        connect(url).close()
    except BrokerUnavailableError as error:
        told = "".join(traceback.format_exception(error))
    assert HIDDEN not in told


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_whatever_stands_before_the_host_is_hidden(user: str, password: str) -> None:
    url = f"redis://{quote(user, safe='')}:{quote(password, safe='')}@host:6379/0"
    assert shown(url) == "redis://***@host:6379/0"


@pytest.mark.parametrize(
    "url", ["redis://host:6379/0", "redis://host", "rediss://[::1]:6379/2", "nonsense", ""]
)
def test_a_url_without_a_password_is_shown_as_it_is(url: str) -> None:
    assert shown(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "localhost:6379",
        "amqp://host//",
        "sqs://",
        "memory://",
        "http://host/",
        "sentinel://host:26379",
        "redis://host:port/0",
        "redis://host:99999999/0",
        "redis://[::1/0",
        "redis://[nonsense]/0",
        "redis://host/0?socket_timeout=soon",
    ],
)
def test_a_url_that_is_none_of_redis_is_a_clear_error(url: str) -> None:
    with pytest.raises(BrokerUnavailableError, match="URL"):
        connect(url)
    with pytest.raises(BrokerUnavailableError):
        workers(url, "q")


@given(st.text(max_size=60) | st.text(max_size=60).map("redis://".__add__))
def test_no_url_makes_another_error_than_that(url: str) -> None:
    with contextlib.suppress(BrokerUnavailableError):
        connect(url).close()
    shown(url)


def test_an_executor_tells_at_once_that_its_url_is_none_of_redis() -> None:
    with pytest.raises(BrokerUnavailableError, match="amqp"):
        CeleryExecutor(url="amqp://guest@localhost//")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://:pw@host:6380/3", {"host": "host", "port": 6380, "db": 3, "password": "pw"}),
        ("redis://host", {"host": "host"}),
        ("redis+socket:///tmp/b.sock?virtual_host=2", {"path": "/tmp/b.sock", "db": 2}),
        ("unix:///tmp/b.sock?db=2", {"path": "/tmp/b.sock", "db": 2}),
    ],
)
def test_urls_mean_what_they_mean_to_celery(url: str, expected: dict[str, object]) -> None:
    client = connect(url)
    settings = client.connection_pool.connection_kwargs
    assert {name: settings.get(name) for name in expected} == expected
    client.close()


def test_a_tls_url_connects_by_tls() -> None:
    client = connect("rediss://host/0")
    assert client.connection_pool.connection_class is redis.SSLConnection
    client.close()


def test_every_command_to_the_broker_has_a_bound() -> None:
    settings = connect("redis://host").connection_pool.connection_kwargs
    assert settings["socket_timeout"] > 0
    assert settings["socket_connect_timeout"] > 0


def test_the_environment_names_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREAKEVEN_QUEUE", "mine")
    assert queue_name() == "mine"
    monkeypatch.setenv("BREAKEVEN_QUEUE", "")
    assert queue_name() == "breakeven"
