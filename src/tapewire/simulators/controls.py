"""What whoever runs a simulator may tell it over HTTP: faults; and ask it: statistics.

These routes are ours, below ``/_simulator/``, and need no key.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from aiohttp import web

from tapewire.simulators.faults import FaultError
from tapewire.simulators.rest_answers import json_response
from tapewire.simulators.statistics import Statistics


class FaultRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /_simulator/faults``: what, and after how many more events."""

    fault: str
    after: int = 0


class Controls:
    """The routes of every simulator.

    ``inject`` takes a fault's name and the number of further events.
    """

    def __init__(self, statistics: Statistics, inject: Callable[[str, int], None]) -> None:
        self._statistics = statistics
        self._inject = inject

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        return [
            web.post("/_simulator/faults", self._add_fault),
            web.get("/_simulator/statistics", self._show_statistics),
        ]

    async def _add_fault(self, request: web.Request) -> web.Response:
        try:
            wanted = msgspec.json.decode(await request.read(), type=FaultRequest)
            self._inject(wanted.fault, wanted.after)
        except (msgspec.DecodeError, FaultError) as error:
            return json_response({"error": str(error)}, 400)
        return json_response({"planned": wanted.fault, "after": wanted.after})

    async def _show_statistics(self, _: web.Request) -> web.Response:
        return json_response(self._statistics.as_dict())
