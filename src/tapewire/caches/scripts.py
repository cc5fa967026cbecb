"""Lua scripts: read from the package once, run by digest, sent whole where unknown."""

from hashlib import sha1
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

from tapewire.caches.connection import Redis

Argument = str | bytes | int | float


class Script:
    """One script of ``caches/lua``.

    Args:
        name: its file's name without ``.lua``.
    """

    def __init__(self, name: str) -> None:
        self.source = (files("tapewire.caches") / "lua" / f"{name}.lua").read_bytes()
        self.digest = sha1(self.source, usedforsecurity=False).hexdigest()

    async def run(self, redis: Redis, keys: tuple[str, ...], *arguments: Argument) -> Any:
        """Run it once.

        A server that does not know the digest (``NOSCRIPT``: restarted, flushed) has run
        nothing, so the whole text is sent.
        """
        try:
            return await redis.execute_command("EVALSHA", self.digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return await redis.execute_command("EVAL", self.source, len(keys), *keys, *arguments)
