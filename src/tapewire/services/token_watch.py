"""Brokers that ended for want of a token, and the files in which a new one will come.

A broker's token lives a day: it ends in the night, and somebody writes the next one in the
morning. Until then there is nothing to connect with, and no reason to give up either.
"""

import logging
from collections.abc import Mapping
from typing import Final, Protocol

from tapewire.providers.broker import Ending
from tapewire.providers.disconnects import Fatal

_log: Final = logging.getLogger(__name__)

LOOK_S: Final = 30.0
"""Between two looks at the files of those that have ended."""


class Token(Protocol):
    """A token that may change while we run (``runtime/key_file.py``)."""

    setting: str

    def has_changed(self) -> bool:
        """Whether there is another one than was read the last time."""


class TokenWatch:
    """Looks at ``tokens`` (by broker) of those that have ended, every ``look_s`` seconds."""

    def __init__(self, tokens: Mapping[str, Token] | None = None, look_s: float = LOOK_S) -> None:
        self._tokens = tokens or {}
        self._look_s = look_s
        self._looked_s: dict[str, float] = {}

    def awaits(self, ended: Mapping[str, Ending]) -> bool:
        """Whether a new token would help any of those that have ended, and may come."""
        return any(name in self._tokens and _is_renewable(one) for name, one in ended.items())

    def renewed(self, now_s: float, ended: Mapping[str, Ending]) -> list[str]:
        """Those that have another token than the one they ended with; ``now_s`` never goes back.

        That they are waited for, and that they have one, is logged once for each ending.
        """
        watched = {name: self._tokens[name] for name in ended if name in self._tokens}
        for name in self._looked_s.keys() - watched.keys():
            del self._looked_s[name]
        found = []
        for name, token in watched.items():
            if name not in self._looked_s:
                _log.warning("%s: tried again when %s has a new token", name, token.setting)
            elif now_s - self._looked_s[name] < self._look_s:
                continue
            self._looked_s[name] = now_s
            if token.has_changed():
                _log.warning("%s: a new token in %s; it is tried again", name, token.setting)
                found.append(name)
        return found


def _is_renewable(ending: Ending) -> bool:
    return isinstance(ending.policy, Fatal) and ending.policy.renewable
