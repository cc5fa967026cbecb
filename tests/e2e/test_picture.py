"""The README's picture of the running dashboard.

``TAPEWIRE_SCREENSHOT=1 make test ARGS=tests/e2e/test_picture.py`` makes the committed one anew,
after 40 minutes of market played in 40 seconds; else one is made of what is running.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.conftest import PROJECT
from tests.e2e.dashboard import Dashboard
from tests.up_process import UpProcess, running_up

ASKED = os.environ.get("TAPEWIRE_SCREENSHOT") == "1"
COMMITTED = PROJECT / "docs" / "images" / "dashboard.png"
MAX_BYTES = 400_000

MARKET = "generator:symbols=2500,rate=50,at=09:30"
MINUTES = 40


@pytest.fixture
def market(up: UpProcess, tmp_path: Path) -> Iterator[UpProcess]:
    """What is running; for the committed picture a market that has been open for a while."""
    if not ASKED:
        yield up
        return
    with running_up(tmp_path / "data", "--source", MARKET, "--speed", "x60") as one:
        yield one


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page as sharp as a picture in a README is shown."""
    size = ViewportSize(width=1280, height=800)
    with browser.new_context(
        viewport=size, device_scale_factor=1.5, color_scheme="dark"
    ) as context:
        yield context.new_page()


def test_the_picture_is_of_the_running_dashboard(
    market: UpProcess, page: Page, tmp_path: Path
) -> None:
    page.goto(market.url)
    dashboard = Dashboard(page, market)
    dashboard.wait_for_rows()
    dashboard.cell("Top volume", dashboard.first_symbol("Top volume"), "symbol").click()
    expect(dashboard.region("Chart").locator("canvas").first).to_be_visible()
    page.wait_for_timeout(MINUTES * 1000 if ASKED else 500)
    page.mouse.move(0, 0)
    path = COMMITTED if ASKED else tmp_path / "dashboard.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    with standing_still(market):
        page.wait_for_timeout(550)  # rows have reached their places, changes still glow
        page.screenshot(path=path)
    assert 50_000 < path.stat().st_size < MAX_BYTES
    assert (COMMITTED.stat().st_size if COMMITTED.exists() else 0) < MAX_BYTES


@contextmanager
def standing_still(market: UpProcess) -> Iterator[None]:
    """Nothing trades while the block lasts, which is shorter than a silence that counts."""
    pid = market.pid("simulator")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
