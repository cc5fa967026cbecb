"""The dashboard's page as tests speak of it: boards, cells, what it says of itself."""

import json
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from playwright.sync_api import Locator, Page, expect

from tests.conftest import PROJECT
from tests.up_process import UpProcess

BOARDS = ("Top gainers", "Top gappers", "Top volume")
WIDGETS = (*BOARDS, "Chart", "Quote", "System status")
AXE = PROJECT / "web" / "node_modules" / "axe-core" / "axe.min.js"

WHEN_SEEN = """([selector, text, patience]) => {
  const began = performance.now()
  window.seen = new Promise((resolve) => {
    const look = () => {
      const cells = [...document.querySelectorAll(selector)]
      const isSeen = cells.some((cell) => cell.textContent.trim() === text)
      if (isSeen || performance.now() - began > patience) resolve(performance.now())
      else requestAnimationFrame(look)
    }
    look()
  })
}"""
"""Looks at every frame that the browser draws."""

PATIENCE_MS = 5000

PRICES = count(901_07, 1_01)
"""In cents. Each is above any price of the simulated market, and above those set before."""

READ_CELLS = "cells => cells.map(c => [c.dataset.symbol, c.dataset.field, c.textContent.trim()])"

FINDINGS = """async () => {
  const { violations } = await axe.run()
  return violations.map(({ id, impact, help, nodes }) =>
    ({ id, impact, help, where: nodes.map(({ target }) => target.join(' ')) }))
}"""


class Dashboard:
    """An open page, and the system behind it."""

    def __init__(self, page: Page, up: UpProcess) -> None:
        self.page = page
        self.up = up

    def region(self, title: str) -> Locator:
        """The widget of this title."""
        return self.page.get_by_role("region", name=title, exact=True)

    def cells(self, title: str, field: str) -> Locator:
        """A column of a board, or a value of another widget."""
        return self.region(title).locator(f'[data-field="{field}"]')

    def cell(self, title: str, symbol: str, field: str) -> Locator:
        """One value of one symbol."""
        return self.region(title).locator(f'[data-symbol="{symbol}"][data-field="{field}"]')

    def wait_for_rows(self, *titles: str) -> None:
        """Wait until these boards (default: all) list something."""
        for title in titles or BOARDS:
            expect(self.cells(title, "close").first).to_be_visible()

    def texts(self, title: str) -> dict[tuple[str, str], str]:
        """Every cell of a board by symbol and field."""
        cells = self.region(title).locator("[role=gridcell]")
        found: list[tuple[str, str, str]] = cells.evaluate_all(READ_CELLS)
        return {(symbol, field): text for symbol, field, text in found}

    def first_symbol(self, title: str) -> str:
        """The symbol with the first rank."""
        cells = self.texts(title)
        return next(symbol for (symbol, _), text in cells.items() if text == "1")

    def set_price(self, symbol: str, price: float) -> None:
        """Let the simulator's market trade a symbol at a price now."""
        body = json.dumps({"symbol": symbol, "price": price}).encode()
        headers = {"Content-Type": "application/json"}
        url = f"{self.up.rest_url}/_simulator/price"
        with urlopen(Request(url, body, headers), timeout=10) as answer:
            assert answer.status == 200

    def ms_until_seen(self, symbol: str, selector: str) -> float:
        """Set a new price; milliseconds until an element that ``selector`` finds shows it.

        More than ``PATIENCE_MS`` where it is not seen.
        """
        price = next(PRICES) / 100
        self.page.evaluate(WHEN_SEEN, [selector, f"{price:.2f}", PATIENCE_MS])
        began_ms: float = self.page.evaluate("performance.now()")
        self.set_price(symbol, price)
        seen_ms: float = self.page.evaluate("window.seen")
        return seen_ms - began_ms

    def feed_state(self) -> Locator:
        """What the page says of stream and data."""
        return self.page.get_by_test_id("feed-state")

    def serious_faults(self) -> list[Mapping[str, Any]]:
        """What axe finds that keeps people out."""
        self.page.evaluate(_axe_source())
        findings: list[Mapping[str, Any]] = self.page.evaluate(FINDINGS)
        return [one for one in findings if one["impact"] in {"serious", "critical"}]


def _axe_source() -> str:
    assert Path(AXE).is_file(), (
        f"{AXE} is missing: run `npm ci` in web/, or remove web/node_modules"
    )
    return AXE.read_text("utf-8")
