"""The dashboard in a real browser over a running system."""

import fcntl
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.dashboard import BOARDS, WIDGETS, Dashboard
from tests.servers import wait_until

SEEN_WITHIN_MS = 1000
CANDLE_WITHIN_MS = 2000
"""An open candle is written once a second."""

LIVE = re.compile("^Live")


def test_every_widget_is_a_region_named_by_its_title(dashboard: Dashboard) -> None:
    for title in WIDGETS:
        expect(dashboard.region(title)).to_have_count(1)
        if title != "System status":
            heading = dashboard.region(title).get_by_role("heading", name=title, exact=True)
            expect(heading).to_be_visible()


def test_every_cell_says_its_symbol_and_field(dashboard: Dashboard) -> None:
    for title in BOARDS:
        cells = dashboard.texts(title)
        fields = {field for _, field in cells}
        assert {"rank", "symbol", "close", "accumulated_volume"} <= fields
        assert all(text == symbol for (symbol, field), text in cells.items() if field == "symbol")


@pytest.mark.parametrize("title", BOARDS)
def test_a_board_moves(dashboard: Dashboard, title: str) -> None:
    before = dashboard.texts(title)
    assert len(before) > 50

    def changed() -> bool:
        now = dashboard.texts(title)
        return sum(now.get(cell) != text for cell, text in before.items()) >= 5

    wait_until(changed, f"values of {title} change", 10)


def test_a_price_is_on_the_page_within_a_second(dashboard: Dashboard) -> None:
    symbol = dashboard.first_symbol("Top volume")
    selector = f'[role=gridcell][data-symbol="{symbol}"][data-field="close"]'
    taken = [dashboard.ms_until_seen(symbol, selector) for _ in range(3)]
    assert max(taken) < SEEN_WITHIN_MS, taken


def test_selecting_a_symbol_moves_quote_and_chart(dashboard: Dashboard) -> None:
    for title in ("Top volume", "Top gappers"):
        symbol = dashboard.first_symbol(title)
        dashboard.cell(title, symbol, "symbol").click()
        expect(dashboard.cell("Quote", symbol, "symbol")).to_have_text(symbol)
        expect(dashboard.region("Chart").locator(".panel-note")).to_contain_text(symbol)
        expect(dashboard.region("Chart").locator("canvas").first).to_be_visible()
        quote = f'[data-symbol="{symbol}"][data-field="close"].quote-price'
        assert dashboard.ms_until_seen(symbol, quote) < SEEN_WITHIN_MS
        assert min(candle_ms(dashboard, symbol), candle_ms(dashboard, symbol)) < CANDLE_WITHIN_MS


def candle_ms(dashboard: Dashboard, symbol: str) -> float:
    """Milliseconds until a price is in the newest candle, unless a minute ends meanwhile."""
    return dashboard.ms_until_seen(symbol, '[data-testid="legend"] dd')


def test_a_symbol_is_chosen_with_the_keyboard_alone(dashboard: Dashboard) -> None:
    grid = dashboard.region("Top volume").get_by_role("grid")
    grid.focus()
    grid.press("Home")
    grid.press("ArrowDown")
    active = dashboard.page.locator('[role=row].is-active [data-field="symbol"]')
    symbol = active.inner_text()
    grid.press("Enter")
    expect(dashboard.cell("Quote", symbol, "symbol")).to_have_text(symbol)


def test_a_redis_that_is_away_is_said_and_followed_again(dashboard: Dashboard) -> None:
    with kept_away(dashboard):
        expect(dashboard.feed_state()).to_have_text(re.compile("^Stale since"))
    expect(dashboard.feed_state()).to_have_text(LIVE, timeout=20_000)
    symbol = dashboard.first_symbol("Top volume")
    selector = f'[role=gridcell][data-symbol="{symbol}"][data-field="close"]'
    assert dashboard.ms_until_seen(symbol, selector) < SEEN_WITHIN_MS


@contextmanager
def kept_away(dashboard: Dashboard) -> Iterator[None]:
    """Kill the server; nobody can start it again while the block lasts."""
    turn = dashboard.up.folder / "redis" / "turn.lock"
    with turn.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.kill(dashboard.up.pid("server"), signal.SIGKILL)
        yield


def test_a_widget_service_that_is_killed_is_said_and_found_again(
    dashboard: Dashboard, complaints: list[str]
) -> None:
    os.kill(dashboard.up.pid("widgets"), signal.SIGKILL)
    expect(dashboard.feed_state()).to_have_text(re.compile("^Disconnected"))
    expect(dashboard.feed_state()).to_have_text(LIVE, timeout=20_000)
    symbol = dashboard.first_symbol("Top volume")
    selector = f'[role=gridcell][data-symbol="{symbol}"][data-field="close"]'
    assert dashboard.ms_until_seen(symbol, selector) < SEEN_WITHIN_MS
    complaints[:] = [text for text in complaints if "WebSocket connection" not in text]


def test_on_a_phone_nothing_scrolls_sideways_and_boards_are_tabs(dashboard: Dashboard) -> None:
    page = dashboard.page
    page.set_viewport_size({"width": 390, "height": 844})
    tabs = page.get_by_role("tablist", name="Boards").get_by_role("tab")
    expect(tabs).to_have_text(list(BOARDS))
    for title in reversed(BOARDS):
        tabs.filter(has_text=title).click()
        dashboard.wait_for_rows(title)
        assert [one for one in BOARDS if dashboard.region(one).is_visible()] == [title]
        assert overflow(page) == 0


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than the screen."""
    return int(
        page.evaluate(
            "document.scrollingElement.scrollWidth - document.documentElement.clientWidth"
        )
    )


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(dashboard: Dashboard, scheme: str, width: int) -> None:
    page = dashboard.page
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
    page.reload()
    dashboard.wait_for_rows("Top gainers")
    assert page.evaluate(f"matchMedia('(prefers-color-scheme: {scheme})').matches")
    assert dashboard.serious_faults() == []
