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
from tapewire.providers.http_text import words

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

ASKED_TOO_OFTEN: Final = BackOff(60.0, "too many requests")

STATUSES: Final[Mapping[int, Policy]] = {
    401: REFUSED,
    403: REFUSED,
    404: Fatal("check FYERS_REST_URL and FYERS_WS_URL"),
    429: ASKED_TOO_OFTEN,
}
"""What follows an HTTP status that is no success; others of 400 to 499 are Fatal."""

REST_CODES: Final[Mapping[int, Policy]] = {
    -8: RefreshToken("the access token has expired: provide a new one"),
    -15: REFUSED,
    -16: REFUSED,
    -17: REFUSED,
    -352: Fatal("Fyers does not know the app id: check it"),
    -429: ASKED_TOO_OFTEN,
}
"""What follows the ``code`` of a REST answer; it counts more than the status."""


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
        return None if policy is None else Ending(str(self.code), policy, words(self.message))


def refusal(request: int, said: str) -> Ending | None:
    """Why the connection ends after a request was refused, None when it goes on."""
    ending = REFUSALS.get(request)
    return None if ending is None else replace(ending, detail=words(said))


def refused(status: int, said: str = "", code: int = 0) -> Ending:
    """Why there is no connection, or no answer, after an HTTP status that is no success."""
    policy = REST_CODES.get(code) or STATUSES.get(status)
    if policy is None:
        is_ours = 400 <= status < 500
        policy = Fatal("Fyers does not take this request") if is_ours else BackOff(5.0)
    is_token = isinstance(policy, RefreshToken)
    return Ending("token_refused" if is_token else f"http_{status}", policy, words(said))
