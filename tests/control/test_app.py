"""The control plane's answers: the page, its configuration, headers that hold."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import pytest

from tapewire.control.app import ControlConfig, build_app
from tapewire.control.pages import Dashboard
from tapewire.control.service import ControlPlane
from tapewire.runtime.service import DependencyMissing, Report, State

PAGE = "<!doctype html><html><head><title>t</title></head><body><div id=app></div></body></html>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "assets" / "index-abc123.js").write_text("export {}")
    (tmp_path / "favicon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    return tmp_path


async def reports() -> list[Report]:
    return [Report("listener", "0", State.RUNNING, True, 1, rates={"trades": 12.5})]


class Browser:
    """Asks a running control plane, by the name ``localhost`` unless told otherwise."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session = session
        self._port = port

    async def get(self, path: str, host: str = "") -> tuple[int, dict[str, str], str]:
        """Status, headers in lower case, and text of an answer."""
        url = f"http://127.0.0.1:{self._port}{path}"
        headers = {"Host": host or f"localhost:{self._port}"}
        async with self._session.get(url, headers=headers) as answer:
            return answer.status, lower(answer.headers), await answer.text()

    async def head(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer to a HEAD, which has none."""
        url = f"http://127.0.0.1:{self._port}{path}"
        headers = {"Host": f"localhost:{self._port}"}
        async with self._session.head(url, headers=headers) as answer:
            return answer.status, lower(answer.headers), await answer.read()


def lower(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers by their names in lower case, without those that differ by the moment."""
    return {name.lower(): value for name, value in headers.items() if name.lower() != "date"}


@pytest.fixture
async def browser(folder: Path) -> AsyncIterator[Browser]:
    app = build_app(ControlConfig(stream_port=4302), Dashboard(folder), reports)
    plane = ControlPlane(app, "127.0.0.1", 0, "--port", since_ms=0)
    await plane.start()
    async with aiohttp.ClientSession() as session:
        yield Browser(session, plane.port)
    await plane.stop()


def config_of(page: str) -> dict[str, str]:
    found = re.search(r'<script type="application/json" id="tapewire-config">(.*?)</script>', page)
    assert found is not None
    answer: dict[str, str] = json.loads(found[1])
    return answer


async def test_the_page_knows_where_the_stream_is(browser: Browser) -> None:
    status, headers, page = await browser.get("/")
    assert status == 200
    assert config_of(page)["wds_url"] == "ws://localhost:4302/ws"
    assert headers["cache-control"] == "no-store"


async def test_the_page_runs_its_own_scripts_and_reaches_its_own_stream(browser: Browser) -> None:
    _, headers, _ = await browser.get("/")
    policy = headers["content-security-policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == "'self'"
    assert rules["connect-src"] == "'self' ws://localhost:4302"
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", ["/", "/assets/index-abc123.js", "/api/v1/status", "/nowhere"])
async def test_every_answer_carries_the_headers(browser: Browser, path: str) -> None:
    _, headers, _ = await browser.get(path)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"


async def test_a_name_that_is_not_ours_is_refused(browser: Browser) -> None:
    status, _, text = await browser.get("/", host="rebound.example:8000")
    assert (status, "rebound.example" in text) == (421, True)
    assert (await browser.get("/", host="[::1]:8000"))[0] == 200


async def test_assets_are_kept_for_ever_and_others_are_not(browser: Browser) -> None:
    _, headers, _ = await browser.get("/assets/index-abc123.js")
    assert "immutable" in headers["cache-control"]
    _, headers, _ = await browser.get("/favicon.svg")
    assert "immutable" not in headers.get("cache-control", "")
    assert (await browser.get("/%2e%2e/pyproject.toml"))[0] == 404


async def test_status_is_what_the_services_report(browser: Browser) -> None:
    (row,) = json.loads((await browser.get("/api/v1/status"))[2])
    assert (row["service"], row["healthy"], row["rates"]) == ("listener", True, {"trades": 12.5})


def test_a_configuration_cannot_end_the_block_that_holds_it(folder: Path) -> None:
    page = Dashboard(folder).page({"wds_url": "</script><script>alert(1)</script>"})
    assert "<script>alert" not in page
    assert config_of(page)["wds_url"].startswith("</script>")


def test_a_dashboard_that_was_not_built_says_how_to_build_it(tmp_path: Path) -> None:
    with pytest.raises(DependencyMissing, match="make up"):
        Dashboard(tmp_path / "dist")


@pytest.mark.parametrize("path", ["/", "/api/v1/status", "/favicon.svg", "/nowhere"])
async def test_a_head_is_answered_like_a_get_without_its_body(browser: Browser, path: str) -> None:
    status, headers, _ = await browser.get(path)
    assert await browser.head(path) == (status, headers, b"")


async def test_a_dashboard_that_was_built_again_is_served(browser: Browser, folder: Path) -> None:
    assert "<title>t</title>" in (await browser.get("/"))[2]
    (folder / "index.html").write_text(PAGE.replace("<title>t<", "<title>new<"))
    assert "<title>new</title>" in (await browser.get("/"))[2]


async def test_while_a_build_replaces_the_page_the_old_one_is_served(
    browser: Browser, folder: Path
) -> None:
    (folder / "index.html").unlink()
    status, _, page = await browser.get("/")
    assert (status, "<title>t</title>" in page) == (200, True)
    (folder / "index.html").write_text("<html>")
    assert "<title>t</title>" in (await browser.get("/"))[2]
