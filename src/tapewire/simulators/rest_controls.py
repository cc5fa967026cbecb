"""What whoever runs Massive's simulator may tell it beside faults: faults of REST, and prices."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from tapewire.simulators.controls import Controls
from tapewire.simulators.faults import FaultError
from tapewire.simulators.prints import PrintError
from tapewire.simulators.rest_answers import json_response
from tapewire.simulators.rest_faults import RestFault, RestFaults
from tapewire.simulators.statistics import Statistics


class PriceRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /_simulator/price``: a ticker, and what it is to trade at now."""

    symbol: str
    price: float


class MassiveControls(Controls):
    """The routes of Massive's simulator; ``trade`` makes a ticker trade at a price."""

    def __init__(
        self,
        faults: RestFaults,
        statistics: Statistics,
        inject: Callable[[str, int], None],
        trade: Callable[[str, float], Awaitable[int]],
    ) -> None:
        super().__init__(statistics, inject)
        self._faults = faults
        self._trade = trade

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        return [
            *super().routes(),
            web.post("/_simulator/rest_faults", self._add_rest_fault),
            web.delete("/_simulator/rest_faults", self._clear_rest_faults),
            web.post("/_simulator/price", self._set_price),
        ]

    async def _add_rest_fault(self, request: web.Request) -> web.Response:
        try:
            fault = msgspec.json.decode(await request.read(), type=RestFault)
            self._faults.plan(fault)
        except (msgspec.DecodeError, FaultError) as error:
            return json_response({"error": str(error)}, 400)
        return json_response({"planned": fault.fault, "path": fault.path})

    async def _clear_rest_faults(self, _: web.Request) -> web.Response:
        self._faults.clear()
        return json_response({"planned": None})

    async def _set_price(self, request: web.Request) -> web.Response:
        try:
            wanted = msgspec.json.decode(await request.read(), type=PriceRequest)
            time_ms = await self._trade(wanted.symbol, wanted.price)
        except (msgspec.DecodeError, PrintError) as error:
            return json_response({"error": str(error)}, 400)
        return json_response(
            {"symbol": wanted.symbol, "price": wanted.price, "timestamp_ms": time_ms}
        )
