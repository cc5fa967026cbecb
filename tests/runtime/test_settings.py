"""What a setting accepts, and what the message says when it does not."""

from pathlib import Path

import pytest
from massive.websocket.models.common import Feed
from pydantic import ValidationError

from tapewire.runtime.environment import load_settings
from tapewire.runtime.massive_settings import MASSIVE_FEEDS
from tapewire.runtime.service import UsageError
from tapewire.runtime.setting import expected
from tapewire.runtime.settings import HTTP_PORTS, Settings


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
        ("brokers", "upstox,zerodha"),
        ("brokers", ""),
        ("upstox_rest_url", "wss://api.upstox.com"),
        ("fyers_rest_url", "api-t1.fyers.in"),
        ("fyers_ws_url", "https://socket.fyers.in"),
        ("dhan_ws_url", "wss://"),
        ("dhan_client_id", "one two"),
        ("dhan_totp_secret", "018"),
        ("dhan_ltt_offset", "3600"),
        ("tick_queue_max", "999"),
        ("tick_queue_max_bytes", "1000000"),
        ("tick_flush_ms", "5"),
        ("tick_filter_enabled", "perhaps"),
        ("tick_filter_sample", "0"),
        ("tick_filter_min_change", "-0.05"),
        ("tick_filter_min_change", "nan"),
        ("tick_filter_allow", "NSE_EQ|2885"),
        ("compat_keys", "2"),
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


def test_the_first_broker_is_the_primary_and_each_is_named_once() -> None:
    assert settings().brokers == ("upstox", "fyers", "dhan")
    assert settings(brokers="Dhan, upstox,dhan").brokers == ("dhan", "upstox")


@pytest.mark.parametrize("switched", ["on", "true", "1", "ON"])
def test_what_is_off_by_default_is_switched_on_by_a_word(switched: str) -> None:
    assert (settings().compat_keys, settings().raw_ticks) == (False, False)
    assert settings(compat_keys=switched, raw_ticks=switched).compat_keys is True


def test_the_filters_lists_hold_exchanges_tokens_and_instruments() -> None:
    named = settings(tick_filter_deny="NSE_FO, 8765,NSE_INDEX:Nifty_50,").tick_filter_deny
    assert named == ("NSE_FO", "8765", "NSE_INDEX:Nifty_50")


def test_a_one_time_secret_may_be_pasted_as_it_is_shown() -> None:
    secret = settings(dhan_totp_secret="jbsw y3dp ehpk 3pxp").dhan_totp_secret
    assert secret is not None
    assert secret.get_secret_value() == "JBSWY3DPEHPK3PXP"


def test_dhans_clock_is_found_out_or_said() -> None:
    assert settings().dhan_ltt_offset.seconds is None
    assert settings(dhan_ltt_offset=19800).dhan_ltt_offset.seconds == 19_800
    assert settings(dhan_ltt_offset="0").dhan_ltt_offset.seconds == 0


def test_tokens_and_pins_are_secrets() -> None:
    names = ("upstox_access_token", "fyers_access_token", "dhan_access_token", "dhan_pin")
    given = settings(**{name: f"{name}-1234" for name in names})
    assert set(given.secrets()) == {f"{name}-1234" for name in names}
    assert "-1234" not in repr(given)


def test_what_brokers_send_is_said_in_their_own_words() -> None:
    usual = settings()
    assert (usual.upstox_mode, usual.fyers_mode, usual.dhan_mode) == ("full", "full", "quote")
    given = settings(upstox_mode="LTPC", fyers_mode="Lite", dhan_mode="ticker")
    assert (given.upstox_mode, given.fyers_mode, given.dhan_mode) == ("ltpc", "lite", "ticker")


@pytest.mark.parametrize(
    ("name", "wrong", "expected_text"),
    [
        ("upstox_mode", "depth", "ltpc, option_greeks, full, or full_d30"),
        ("upstox_plan", "gold", "standard or plus"),
        ("fyers_mode", "ltpc", "full or lite"),
        ("dhan_mode", "depth", "ticker, quote or full"),
        ("broker_silence_s", "0", "from 1 to 3600"),
        ("broker_failback_s", "soon", "from 1 to 86400"),
    ],
)
def test_a_wrong_choice_says_what_was_expected(name: str, wrong: str, expected_text: str) -> None:
    with pytest.raises(UsageError) as raised:
        load_settings({"HOME": "/home/trader", name.upper(): wrong})
    assert f"{name.upper()} (environment): {wrong!r} is not valid" in str(raised.value)
    assert expected_text in str(raised.value)


def test_thirty_levels_of_depth_need_the_plan_that_has_them() -> None:
    environ = {"HOME": "/home/trader", "UPSTOX_MODE": "full_d30"}
    with pytest.raises(UsageError, match=r"full_d30 \(with UPSTOX_PLAN=plus only\)"):
        load_settings(environ)
    assert load_settings(environ | {"UPSTOX_PLAN": "plus"}).settings.upstox_mode == "full_d30"
