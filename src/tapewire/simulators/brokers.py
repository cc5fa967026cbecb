"""The simulated brokers by name: each one's side in the server that all share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypedDict, Unpack

from tapewire.providers.dhan.clock import IST_OFFSET_S
from tapewire.providers.fyers.token import TokenError, read_token
from tapewire.simulators.broker_server import BrokerSimulator
from tapewire.simulators.broker_voice import Account, BrokerSide
from tapewire.simulators.dhan import DhanSide
from tapewire.simulators.fyers import SOCKET_PATH as FYERS_SOCKET
from tapewire.simulators.fyers import FyersSide
from tapewire.simulators.fyers_files import make_token
from tapewire.simulators.tick_tape import TickTape
from tapewire.simulators.upstox import UpstoxSide

ANY_TOKEN: Final = "any-token-will-do"
CLIENT_ID: Final = "1000000001"
_TOKEN_LIFE_S: Final = 366 * 86_400


class Surroundings(NamedTuple):
    """What a side needs from outside: the wall clock, and secrets for single-use addresses."""

    wall_ms: Callable[[], int]
    new_secret: Callable[[], str]


class ServerOptions(TypedDict, total=False):
    """Options of `BrokerSimulator`."""

    speed: str
    once: bool
    faults: list[str]
    port: int
    rest_port: int
    head_start_ms: int


def token_of(broker: str, word: str, now_ms: int) -> str:
    """A word as a token of a broker: of Fyers, whose tokens carry a key and a date, one is made."""
    if broker != "fyers":
        return word
    try:
        read_token(word)
    except TokenError:
        return make_token(word, now_ms // 1000 + _TOKEN_LIFE_S)
    return word


def broker_simulator(
    broker: str,
    tape: TickTape,
    account: Account,
    around: Surroundings,
    **options: Unpack[ServerOptions],
) -> BrokerSimulator:
    """A simulated broker, not started. KeyError for a broker that is none."""

    def ws_url() -> str:
        return simulator.ws_url

    def event_ms() -> int:
        return simulator.event_ms or around.wall_ms()

    stage = Stage(tape, account, around, ws_url, event_ms)
    simulator: BrokerSimulator = BrokerSimulator(_SIDES[broker](stage), tape, **options)
    return simulator


class Stage(NamedTuple):
    """What a side is made of; the server's address and the tape's time are known later."""

    tape: TickTape
    account: Account
    around: Surroundings
    ws_url: Callable[[], str]
    event_ms: Callable[[], int]

    def now_s(self) -> float:
        """The wall clock in seconds."""
        return self.around.wall_ms() / 1000


def _upstox(stage: Stage) -> BrokerSide:
    return UpstoxSide(
        stage.tape,
        stage.account,
        ws_url=stage.ws_url,
        now_ms=stage.event_ms,
        new_code=stage.around.new_secret,
    )


def _fyers(stage: Stage) -> BrokerSide:
    return FyersSide(stage.tape, stage.account, now_s=stage.now_s)


def _dhan(stage: Stage) -> BrokerSide:
    return DhanSide(stage.tape, stage.account, now_s=stage.now_s)


_SIDES: Final[Mapping[str, Callable[[Stage], BrokerSide]]] = {
    "upstox": _upstox,
    "fyers": _fyers,
    "dhan": _dhan,
}


def environment(broker: str, rest_url: str, ws_url: str, token: str) -> dict[str, str]:
    """The settings with which a listener finds a simulator; ``token`` is one that it takes."""
    return {"BROKERS": broker} | _ENVIRONMENTS[broker](rest_url, ws_url, token)


def _upstox_environment(rest_url: str, _: str, token: str) -> dict[str, str]:
    return {"UPSTOX_REST_URL": rest_url, "UPSTOX_ACCESS_TOKEN": token}


def _fyers_environment(rest_url: str, ws_url: str, token: str) -> dict[str, str]:
    return {
        "FYERS_REST_URL": rest_url,
        "FYERS_WS_URL": ws_url + FYERS_SOCKET,
        "FYERS_ACCESS_TOKEN": token,
    }


def _dhan_environment(rest_url: str, ws_url: str, token: str) -> dict[str, str]:
    return {
        "DHAN_REST_URL": rest_url,
        "DHAN_WS_URL": ws_url,
        "DHAN_CLIENT_ID": CLIENT_ID,
        "DHAN_ACCESS_TOKEN": token,
        "DHAN_LTT_OFFSET": str(IST_OFFSET_S),
    }


_ENVIRONMENTS: Final[Mapping[str, Callable[[str, str, str], dict[str, str]]]] = {
    "upstox": _upstox_environment,
    "fyers": _fyers_environment,
    "dhan": _dhan_environment,
}
