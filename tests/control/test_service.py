"""The control plane listens where it should, says when it cannot, and leaves quickly."""

from pathlib import Path

import aiohttp
import pytest

from tapewire.control.app import ControlConfig, build_app
from tapewire.control.pages import Dashboard
from tapewire.control.service import ControlPlane
from tapewire.runtime.service import DependencyMissing, UsageError


async def no_reports() -> list[object]:
    return []


def plane(folder: Path, host: str = "127.0.0.1", port: int = 0) -> ControlPlane:
    (folder / "index.html").write_text("<html><head></head></html>")
    app = build_app(ControlConfig(stream_port=1), Dashboard(folder), no_reports)  # type: ignore[arg-type]
    return ControlPlane(app, host, port, "--port", since_ms=0)


async def test_it_serves_until_it_is_stopped(tmp_path: Path) -> None:
    service = plane(tmp_path)
    await service.start()
    url = f"http://127.0.0.1:{service.port}/"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
    assert service.report().healthy
    await service.drain()
    await service.stop()
    await service.wait()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(url)


async def test_a_port_in_use_is_named_with_the_way_out(tmp_path: Path) -> None:
    first = plane(tmp_path)
    await first.start()
    try:
        with pytest.raises(DependencyMissing, match=f"{first.port}.*--port"):
            await plane(tmp_path, port=first.port).start()
    finally:
        await first.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "tapewire.example"])
def test_other_machines_are_kept_out_while_there_are_no_accounts(tmp_path: Path, host: str) -> None:
    with pytest.raises(UsageError, match="no accounts"):
        plane(tmp_path, host=host)
