"""What a broker's code asks for: the vocabulary of the brokers' policy tables.

Each broker's ``protocol.py`` maps its disconnect and refusal codes to one of these; what
carries them out is the client.
"""

from typing import Final

from msgspec import Struct


class Fatal(Struct, frozen=True):
    """Trying again would not help; ``advice`` is for the person who runs this.

    ``renewable``: until there is another access token.
    """

    advice: str
    renewable: bool = False


class RefreshToken(Struct, frozen=True):
    """Read the access token again, then connect; Fatal when it has not changed."""

    advice: str


class BackOff(Struct, frozen=True):
    """Try again after a growing, jittered wait of at least ``seconds``."""

    seconds: float = 1.0
    advice: str = ""


Policy = Fatal | RefreshToken | BackOff

UNTRUSTED: Final = Fatal(
    "the server's certificate is not trusted: check the address and this clock"
)
"""What follows whenever a server's certificate does not hold, at REST and sockets alike."""
