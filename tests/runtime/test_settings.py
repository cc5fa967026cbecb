"""What a setting accepts, and what the message says when it does not."""

from pathlib import Path

import pytest
from massive.websocket.models.common import Feed
from pydantic import ValidationError

from tapewire.runtime.service import UsageError
from tapewire.runtime.settings import HTTP_PORTS, MASSIVE_FEEDS, Settings, expected


def settings(**values: object) -> Settings:
    return Settings(**{"tapewire_data_dir": Path("data"), **values})  # type: ignore[arg-type]


@pytest.mark.parametrize("spelling", ["RealTime", "realtime", "real-time", "REAL_TIME"])
def test_a_feed_is_known_by_its_documented_name_in_any_case(spelling: str) -> None:
    assert settings(massive_feed=spelling).massive_url == "wss://socket.massive.com/stocks"


def test_the_market_is_the_last_part_of_the_address() -> None:
    feed = settings(massive_feed="Delayed", massive_market="futures/cme")
    assert feed.massive_url == "wss://delayed.massive.com/futures/cme"


def test_a_url_of_a_feed_gets_the_market_only_when_it_names_no_path() -> None:
    assert settings(massive_feed="ws://127.0.0.1:9000").massive_url == "ws://127.0.0.1:9000/stocks"
    assert settings(massive_feed="ws://h:9000/x").massive_url == "ws://h:9000/x"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("massive_feed", "Fastest"),
        ("massive_feed", "http://127.0.0.1"),
        ("massive_feed", "ws://"),
        ("massive_feed", "ws://127.0.0.1:port"),
        ("massive_market", "bonds"),
        ("massive_subscriptions", "T"),
        ("massive_subscriptions", ""),
        ("rabbitmq_url", "http://localhost"),
        ("wdc_redis_url", "localhost:6379"),
        ("market_data_message_ttl", "-1"),
        ("prefetch_count", "0"),
        ("prefetch_count", "many"),
        ("quote_source", "both"),
        ("candle_grace_ms", "60001"),
        ("queue_prefix", "a b"),
        ("tapewire_http_port_mdl", "65536"),
        ("log_level", "loud"),
    ],
)
def test_a_value_out_of_its_type_or_bounds_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValidationError) as refused:
        settings(**{name: value})
    assert [error["loc"] for error in refused.value.errors()] == [(name,)]


@pytest.mark.parametrize(("given", "ttl"), [("0", None), ("none", None), (0, None), ("900", 900)])
def test_a_ttl_of_zero_or_none_keeps_batches(given: str | int, ttl: int | None) -> None:
    assert settings(market_data_message_ttl=given).market_data_message_ttl == ttl


def test_topics_are_a_comma_list_and_each_counts_once() -> None:
    assert settings(massive_subscriptions="T.*, A.* ,T.*,").massive_subscriptions == ("T.*", "A.*")


def test_a_required_setting_that_is_missing_names_itself_and_its_form() -> None:
    with pytest.raises(UsageError, match=r"RABBITMQ_URL is not set.*amqp://"):
        settings().required("rabbitmq_url")
    url = "amqp://user:word@host/"
    assert settings(rabbitmq_url=url).required("rabbitmq_url") == url


def test_secrets_are_keys_and_the_passwords_inside_urls() -> None:
    found = settings(massive_api_key="key-1234", mdc_redis_url="redis://:open-sesame@h/0").secrets()
    assert found == ("key-1234", "open-sesame")


def test_secrets_do_not_show_in_the_settings_own_text() -> None:
    text = repr(settings(massive_api_key="key-1234", rabbitmq_url="amqp://u:pass-word@h"))
    assert "key-1234" not in text
    assert "pass-word" not in text


def test_settings_are_frozen_and_do_not_read_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFETCH_COUNT", "7")
    assert settings().prefetch_count == 500
    with pytest.raises(ValidationError):
        settings().prefetch_count = 7


def test_a_changed_copy_is_validated() -> None:
    assert settings().replaced(tapewire_flush_ms=50).tapewire_flush_ms == 50
    with pytest.raises(ValidationError):
        settings().replaced(tapewire_flush_ms=5)


def test_every_setting_says_what_it_is_and_what_it_expects() -> None:
    for name, field in Settings.model_fields.items():
        assert (field.description or "").endswith("."), name
        assert expected(field), name


def test_every_service_has_its_port() -> None:
    numbers = {name: settings().http_port(name) for name in HTTP_PORTS}
    assert numbers["listener"] == 4200
    assert numbers["processor"] == 4201
    assert numbers["widgets"] == 4202
    assert numbers["control"] == 8000
    assert len(set(numbers.values())) == len(numbers)


def test_the_feed_table_is_the_one_of_the_providers_client() -> None:
    assert {feed.name: feed.value for feed in Feed} == MASSIVE_FEEDS
