"""What Fyers' refusals and notices mean for a connection: tables of codes and requests.

Source: the official client's codes (``brokers.md`` 2.3).
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from tapewire.providers.broker import Ending
from tapewire.providers.disconnects import BackOff, Fatal, Policy, RefreshToken
from tapewire.providers.fyers.requests import RequestType

MAX_DETAIL_CHARS: Final = 200

REFUSED: Final = RefreshToken("Fyers refused the key: provide a new access token")
UNSUBSCRIBED: Final = BackOff(advice="a subscription failed: it is asked for again")

NOTICES: Final[Mapping[int, Policy | None]] = {
    200: None,
    -99: RefreshToken("the access token has expired, or a limit is exceeded"),
    -300: Fatal("Fyers refused the request as invalid: check the symbols"),
    11001: REFUSED,
    11011: UNSUBSCRIBED,
    11012: None,
    11031: None,
    11032: None,
    12001: None,
    51001: Fatal("more symbols than the plan allows: subscribe to fewer"),
}
"""What follows a notice, by code; None: it is counted, and the connection goes on."""

REFUSALS: Final[Mapping[int, Ending]] = {
    RequestType.AUTH: Ending("token_refused", REFUSED),
    RequestType.SUBSCRIBE: Ending("subscription_refused", UNSUBSCRIBED),
}
"""What follows the refusal of a request; of another than these the connection goes on."""


class Notice(Struct, frozen=True):
    """Something Fyers wants to say; ``request`` is the type of the request that caused it."""

    code: int
    message: str
    request: int

    @property
    def ending(self) -> Ending | None:
        """Why the connection ends, None when it goes on."""
        if self.code not in NOTICES:
            return refusal(self.request, f"notice {self.code}: {self.message}")
        policy = NOTICES[self.code]
        return None if policy is None else Ending(str(self.code), policy, detail(self.message))


def refusal(request: int, said: str) -> Ending | None:
    """Why the connection ends after a request was refused, None when it goes on."""
    ending = REFUSALS.get(request)
    return None if ending is None else replace(ending, detail=detail(said))


def detail(text: str) -> str:
    """The provider's words for people: printable, and not too many."""
    return "".join(c if c.isprintable() else " " for c in text)[:MAX_DETAIL_CHARS].strip()
