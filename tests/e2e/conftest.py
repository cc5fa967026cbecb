"""A running system, a real Chromium, and a page that must not complain.

The browser is the system's own ``chromium`` (or a Chrome that is there): Playwright only drives
it. Where there is none the tests fail and say what to do.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from tests.e2e.browser import chromium
from tests.e2e.dashboard import Dashboard
from tests.up_process import UpProcess, build_dashboard, running_up

MARKET = "generator:symbols=800,rate=300,at=09:31"
"""Small enough for two processors that also draw the page."""


@pytest.fixture(scope="package")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpProcess]:
    """Everything that ``tapewire up`` starts."""
    build_dashboard()
    with running_up(tmp_path_factory.mktemp("e2e") / "data", "--source", MARKET) as one:
        assert one.url
        yield one


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def complaints() -> list[str]:
    """What the page wrote to the console as an error; a test may take out what it caused."""
    return []


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A visitor who was never here, with a wide screen."""
    with browser.new_context(viewport={"width": 1440, "height": 900}) as context:
        context.set_default_timeout(20_000)
        yield context


@pytest.fixture
def dashboard(up: UpProcess, context: BrowserContext, complaints: list[str]) -> Iterator[Dashboard]:
    """The open page with rows on its boards; at the end it has not complained."""

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    page: Page = context.new_page()
    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(up.url)
    dashboard = Dashboard(page, up)
    dashboard.wait_for_rows()
    yield dashboard
    assert complaints == []
