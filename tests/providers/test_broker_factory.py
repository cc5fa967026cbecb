"""From settings to brokers: which are made, and what is said of the others."""

import logging
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tapewire.providers.broker import Broker
from tapewire.providers.broker_factory import CREDENTIALS, BrokerFactory
from tapewire.providers.instrument_cache import InstrumentCache
from tapewire.runtime.broker_settings import BROKERS, BrokerSettings
from tapewire.runtime.service import UsageError

TOKENS: dict[str, Any] = {
    "upstox_access_token": SecretStr("upstox-hush"),
    "fyers_access_token": SecretStr("app:fyers-hush"),
    "dhan_client_id": "1000000001",
    "dhan_access_token": SecretStr("dhan-hush"),
}


def factory(folder: Path, **settings: Any) -> BrokerFactory:
    return BrokerFactory(
        BrokerSettings(**settings), lambda name: InstrumentCache(folder / name, lambda: 0.0)
    )


async def closed(brokers: list[Broker]) -> list[str]:
    """The brokers' names, after they were closed."""
    for broker in brokers:
        await broker.close()
    return [broker.name for broker in brokers]


async def test_every_broker_that_can_be_named_can_be_made(tmp_path: Path) -> None:
    assert await closed(factory(tmp_path, **TOKENS).make()) == list(BROKERS)
    assert set(CREDENTIALS) == set(BROKERS)


async def test_brokers_stand_in_the_order_in_which_they_are_named(tmp_path: Path) -> None:
    made = factory(tmp_path, brokers="dhan,upstox", **TOKENS).make()
    assert await closed(made) == ["dhan", "upstox"]


async def test_one_without_credentials_is_left_out_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    tokens = {name: value for name, value in TOKENS.items() if name != "dhan_access_token"}
    assert factory(tmp_path, **tokens).usable == ["upstox", "fyers"]
    (said,) = caplog.messages
    assert said == (
        "dhan is left out: it has no credentials; set DHAN_CLIENT_ID and DHAN_ACCESS_TOKEN, or "
        "DHAN_CLIENT_ID and DHAN_PIN and DHAN_TOTP_SECRET"
    )
    assert "hush" not in caplog.text


def test_dhan_may_have_a_pin_and_one_time_passwords_instead(tmp_path: Path) -> None:
    given = {
        "dhan_client_id": "1000000001",
        "dhan_pin": SecretStr("123456"),
        "dhan_totp_secret": SecretStr("JBSWY3DPEHPK3PXP"),
    }
    assert factory(tmp_path, brokers="dhan", **given).usable == ["dhan"]


@pytest.mark.parametrize("token", [None, SecretStr("")])
def test_without_any_credentials_the_error_says_what_each_needs(
    tmp_path: Path, token: SecretStr | None
) -> None:
    with pytest.raises(UsageError) as raised:
        factory(tmp_path, brokers="fyers,upstox", fyers_access_token=token).make()
    assert str(raised.value) == (
        "no broker of BROKERS has credentials; set for fyers FYERS_ACCESS_TOKEN; for upstox "
        "UPSTOX_ACCESS_TOKEN"
    )


def test_a_name_that_is_no_brokers_is_refused(tmp_path: Path) -> None:
    settings = BrokerSettings(**TOKENS).model_copy(update={"brokers": ("upstox", "kite")})
    made = BrokerFactory(settings, lambda name: InstrumentCache(tmp_path / name, lambda: 0.0))
    with pytest.raises(UsageError, match="BROKERS names kite; expected upstox, fyers, dhan"):
        made.make()


async def test_tokens_are_read_again_for_every_connection(tmp_path: Path) -> None:
    settings = BrokerSettings(**TOKENS)
    made = BrokerFactory(settings, lambda name: InstrumentCache(tmp_path / name, lambda: 0.0))
    read = made._token("upstox_access_token")
    settings.upstox_access_token = SecretStr("newer")
    assert read() == "newer"
