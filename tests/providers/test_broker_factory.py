"""From settings to brokers: which are made, and what is said of the others."""

import logging
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from yarl import URL

from tapewire.market.instruments import Instrument
from tapewire.providers.broker import Broker, BrokerError
from tapewire.providers.broker_factory import CREDENTIALS, BrokerFactory
from tapewire.providers.disconnects import Fatal
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
        "DHAN_CLIENT_ID and DHAN_ACCESS_TOKEN_FILE, or DHAN_CLIENT_ID and DHAN_PIN and "
        "DHAN_TOTP_SECRET"
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
        "no broker of BROKERS has credentials; set for fyers FYERS_ACCESS_TOKEN, or "
        "FYERS_ACCESS_TOKEN_FILE; for upstox UPSTOX_ACCESS_TOKEN, or UPSTOX_ACCESS_TOKEN_FILE"
    )


def test_a_name_that_is_no_brokers_is_refused(tmp_path: Path) -> None:
    settings = BrokerSettings(**TOKENS).model_copy(update={"brokers": ("upstox", "kite")})
    made = BrokerFactory(settings, lambda name: InstrumentCache(tmp_path / name, lambda: 0.0))
    with pytest.raises(UsageError, match="BROKERS names kite; expected upstox, fyers, dhan"):
        made.make()


async def authorized(broker: Broker) -> str:
    """What Dhan's address carries of the token that was read for it."""
    address = await broker.authorize()
    return URL(address.url).query["token"]


async def test_tokens_are_read_again_for_every_connection(tmp_path: Path) -> None:
    settings = BrokerSettings(brokers=("dhan",), **TOKENS)
    made = BrokerFactory(settings, lambda name: InstrumentCache(tmp_path / name, lambda: 0.0))
    (dhan,) = made.make()
    assert await authorized(dhan) == "dhan-hush"
    settings.dhan_access_token = SecretStr("newer")
    assert await authorized(dhan) == "newer"
    await dhan.close()


def dhan_with(folder: Path, **settings: Any) -> BrokerFactory:
    return factory(folder, brokers="dhan", dhan_client_id="1000000001", **settings)


async def test_a_token_in_a_file_is_read_again_for_every_connection(tmp_path: Path) -> None:
    path = tmp_path / "dhan"
    path.write_text("old-hush\n")
    path.chmod(0o600)
    made = dhan_with(tmp_path, dhan_access_token_file=path)
    assert made.usable == ["dhan"]
    (dhan,) = made.make()
    assert await authorized(dhan) == "old-hush"
    assert not made.token_files["dhan"].has_changed()
    path.write_text("new-hush")
    assert made.token_files["dhan"].has_changed()
    assert await authorized(dhan) == "new-hush"
    await dhan.close()


@pytest.mark.parametrize("content", [None, "", "two words"])
@pytest.mark.parametrize("broker", BROKERS)
async def test_a_file_without_a_token_is_named_and_a_new_one_would_help(
    tmp_path: Path, broker: str, content: str | None
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    given: dict[str, Any] = {f"{broker}_access_token_file": path, "dhan_client_id": "1000000001"}
    (one,) = factory(tmp_path, brokers=broker, **given).make()
    with pytest.raises(BrokerError) as raised:
        await one.authorize()
    ending = raised.value.ending
    assert ending.reason == "token_file"
    assert ending.detail.startswith(f"{broker.upper()}_ACCESS_TOKEN_FILE: ")
    assert str(path) in ending.detail
    assert ending.policy == Fatal("write the token into that file", renewable=True)
    await one.close()


async def test_a_token_that_is_given_beats_its_file(tmp_path: Path) -> None:
    path = tmp_path / "missing"
    made = factory(tmp_path, brokers="dhan", dhan_access_token_file=path, **TOKENS)
    (dhan,) = made.make()
    assert await authorized(dhan) == "dhan-hush"
    assert made.token_files == {}
    await dhan.close()


async def test_the_plus_plan_has_thirty_levels_of_fifty_instruments(tmp_path: Path) -> None:
    chosen = {"upstox_plan": "plus", "upstox_mode": "full_d30"}
    (upstox,) = factory(tmp_path, brokers="upstox", **TOKENS, **chosen).make()
    connection = upstox.connection(0.0)
    connection.opened(0.0)
    listed = [
        Instrument(exchange="NSE_EQ", token=str(number), symbol="", broker_key=f"NSE_EQ|{number}")
        for number in range(51)
    ]
    with pytest.raises(ValueError, match="51 instruments in mode full_d30; the plan allows 50"):
        connection.subscribe(listed)
    connection.subscribe(listed[:50])
    assert b'"mode":"full_d30"' in b"".join(map(_bytes, connection.data_to_send()))
    await upstox.close()


def _bytes(message: bytes | str) -> bytes:
    return message.encode() if isinstance(message, str) else message
