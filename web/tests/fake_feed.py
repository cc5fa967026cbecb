"""A made-up widget service for work on the dashboard alone: ``tapewire.v1``, no market behind it.

    python web/tests/fake_feed.py [--port 4202] [--updates 500]

It sends three boards, quotes, one-minute candles and a status; ``--updates`` changed rows a
second over all boards. What it does not do: rates, filters, resumption, limits.
"""

import argparse
import asyncio
import json
import random
import time
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

Row = dict[str, Any]

HZ = 10
MINUTES = 240
SCORES = {
    "scanners:top_gainers": "pct_change_since_open",
    "scanners:top_gappers": "pct_change",
    "scanners:top_volume": "accumulated_volume",
}


class Market:
    """Prices that wander; one row for each symbol."""

    def __init__(self, symbols: int, draw: random.Random) -> None:
        self.draw = draw
        self.past: dict[str, list[Row]] = {}
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        names = {"".join(draw.choices(letters, k=draw.choice((3, 4)))) for _ in range(symbols)}
        self.rows = {name: self._row(name) for name in sorted(names)}

    def _row(self, symbol: str) -> Row:
        close = round(self.draw.uniform(0.4, 400), 2)
        base = {"prev_day_close": close, "open": round(close * self.draw.uniform(0.9, 1.1), 2)}
        row = {"symbol": symbol, **base, "session": "regular", "gap": False, "free_float": 41e6}
        row |= {"avg_volume": 2.5e6, "accumulated_volume": self.draw.randrange(10**3, 10**7)}
        row |= {"day_low": close, "day_high": close, "close": close}
        self.trade(row, self.draw.uniform(0.7, 1.5))
        return row

    def trade(self, row: Row, factor: float) -> None:
        """Move a symbol's price."""
        close = round(max(0.01, row["close"] * factor), 4 if row["close"] < 1 else 2)
        volume = row["accumulated_volume"] + self.draw.randrange(1, 4000)
        row |= {"close": close, "accumulated_volume": volume, "aggregate_vwap": close}
        row |= {"day_low": min(close, row["day_low"]), "day_high": max(close, row["day_high"])}
        for field, base in (("", "prev_day_close"), ("_since_open", "open")):
            row["change" + field] = close - row[base]
            row["pct_change" + field] = 100 * (close / row[base] - 1)
        row["relative_volume"] = volume / row["avg_volume"]
        row["start_timestamp"] = int(time.time()) * 1000

    def board(self, feed: str, limit: int) -> list[str]:
        """Symbols by rank."""
        field = SCORES[feed]
        return sorted(self.rows, key=lambda name: -self.rows[name][field])[:limit]

    def candles(self, symbol: str) -> list[Row]:
        """A past that ends where somebody first looked, then the present minute."""
        minute_ms = int(time.time()) // 60 * 60_000
        if symbol not in self.past:
            self.past[symbol] = self._past(symbol, minute_ms)
        past = self.past[symbol]
        if past[-1]["start_ms"] < minute_ms:
            past.append({**past[-1], "start_ms": minute_ms, "open": past[-1]["close"]})
        close = self.rows[symbol]["close"]
        newest = past[-1] | {"close": close, "volume": past[-1]["volume"] + 100}
        newest |= {"high": max(close, newest["high"]), "low": min(close, newest["low"])}
        past[-1] = newest
        return past

    def _past(self, symbol: str, minute_ms: int) -> list[Row]:
        draw, price, found = random.Random(symbol), self.rows[symbol]["close"], list[Row]()
        for back in range(MINUTES):
            before = price * draw.uniform(0.995, 1.005)
            high, low = max(price, before) * 1.002, min(price, before) * 0.998
            row = {"start_ms": minute_ms - back * 60_000, "open": before, "close": price}
            row |= {"high": high, "low": low, "volume": draw.randrange(1000, 90000), "gap": False}
            found.append(row)
            price = before
        return found[::-1]


class Client:
    """One page."""

    def __init__(self, socket: ServerConnection, market: Market) -> None:
        self.socket, self.market = socket, market
        self.sent: dict[str, dict[Any, Row]] = {}
        self.asked: dict[str, Row] = {}
        self.seq = 0

    async def listen(self) -> None:
        """Take requests."""
        async for frame in self.socket:
            request = json.loads(frame)
            if request["op"] == "ping":
                answer = {"op": "pong", "t": request["t"], "time": int(time.time() * 1000)}
                await self.send([answer])
            elif request["op"] == "subscribe":
                await self.begin(request)
            else:
                self.asked.pop(request["feed"], None)

    async def begin(self, request: Row) -> None:
        """Answer with a snapshot and a status."""
        feed = request["feed"]
        self.asked[feed], self.sent[feed] = request, dict(self.read(request))
        status = {"op": "status", "feed": feed, "state": "live", "since": 0, "reason": ""}
        snapshot = {"op": "snapshot", "feed": feed, "epoch": "fake", "seq": self.seq}
        snapshot |= {"ts": int(time.time() * 1000), "key": key_of(feed)}
        rows = [dict(row) for row in self.sent[feed].values()]
        await self.send([snapshot | {"rows": rows}, status | {"gaps": []}])

    def read(self, request: Row) -> dict[Any, Row]:
        """The rows of a feed now."""
        feed, market = request["feed"], self.market
        symbol = feed.rpartition(":")[2]
        if feed in SCORES:
            listed = market.board(feed, request.get("limit", 500))
            return {name: pick(market.rows[name], request.get("fields")) for name in listed}
        if symbol not in market.rows:
            return {}
        if feed.startswith("candles:"):
            return {row["start_ms"]: row for row in market.candles(symbol)}
        return {symbol: dict(market.rows[symbol])}

    async def flush(self) -> None:
        """Send what changed since the last time."""
        prev, self.seq = self.seq, self.seq + 1
        head = {"op": "delta", "seq": self.seq, "prev": prev, "ts": int(time.time() * 1000)}
        await self.send([head | self.delta(request) for request in self.asked.values()])

    def delta(self, request: Row) -> Row:
        """One feed's changes."""
        feed, key = request["feed"], key_of(request["feed"])
        before, now = self.sent[feed], self.read(request)
        self.sent[feed] = now
        changed = [
            {key: name} | {f: v for f, v in row.items() if before.get(name, {}).get(f) != v}
            for name, row in now.items()
            if before.get(name) != row
        ]
        gone = [name for name in before if name not in now]
        order = {"order": list(now)} if list(now) != list(before) else {}
        return {"feed": feed, "set": changed, "del": gone} | order

    async def send(self, messages: list[Row]) -> None:
        """One frame."""
        await self.socket.send(json.dumps(messages))


def key_of(feed: str) -> str:
    """The field that names a feed's rows."""
    return "start_ms" if feed.startswith("candles:") else "symbol"


def pick(row: Row, fields: list[str] | None) -> Row:
    """The fields that were asked for."""
    return {f: row.get(f) for f in ("symbol", *fields)} if fields else dict(row)


async def main(port: int, updates: int) -> None:
    """Serve until interrupted."""
    draw = random.Random(7)
    market, clients = Market(400, draw), set[Client]()

    async def handle(socket: ServerConnection) -> None:
        client = Client(socket, market)
        clients.add(client)
        try:
            await client.listen()
        finally:
            clients.discard(client)

    async with serve(handle, "127.0.0.1", port, subprotocols=["tapewire.v1"]):  # type: ignore[list-item]
        while True:
            await asyncio.sleep(1 / HZ)
            for row in draw.sample(list(market.rows.values()), min(updates // HZ, 390)):
                market.trade(row, draw.uniform(0.998, 1.002))
            await asyncio.gather(*(client.flush() for client in clients), return_exceptions=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=4202)
    parser.add_argument("--updates", type=int, default=500)
    options = parser.parse_args()
    asyncio.run(main(options.port, options.updates))
