"""The embedded server: started by its first user, stopped by its last, keeping its data."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tapewire.caches.binaries import find_server, version_of
from tapewire.caches.connection import Link
from tapewire.caches.embedded import EmbeddedServer, spawn
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.runtime.service import DependencyMissing
from tests.caches.widget_contract import QUOTES, SHARD, quotes


async def process_of(server: EmbeddedServer) -> int:
    """The server's process id, as it says itself."""
    link = Link(server.wdc_url)
    try:
        info = await link.run("INFO", "server")
        return int(info["process_id"])
    finally:
        await link.close()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def set_value(url: str, value: str) -> None:
    link = Link(url)
    await link.run("SET", "value", value)
    await link.close()


async def get_value(url: str) -> bytes | None:
    link = Link(url)
    try:
        found: bytes | None = await link.run("GET", "value")
        return found
    finally:
        await link.close()


async def test_what_was_flushed_is_there_after_a_restart(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "data")
    cache = RedisWidgetCache(await server.start())
    place = await cache.flush(SHARD, (await cache.claim(SHARD)).place, {}, quotes(AIG=1))
    await cache.close()
    pid = await process_of(server)
    await server.stop()
    await server.stop()
    assert not is_running(pid)

    again = EmbeddedServer(tmp_path / "data")
    cache = RedisWidgetCache(await again.start())
    assert (await cache.snapshot(SHARD, {QUOTES: None})).rows == quotes(AIG=1).rows
    assert await cache.flush(SHARD, place, {}, quotes(AIG=2)) == place.next
    await cache.close()
    await again.stop()


async def test_the_two_caches_are_apart(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    await server.start()
    await set_value(server.wdc_url, "w")
    await set_value(server.mdc_url, "m")
    assert (await get_value(server.wdc_url), await get_value(server.mdc_url)) == (b"w", b"m")
    await server.stop()


async def test_users_share_one_server_and_the_last_one_stops_it(tmp_path: Path) -> None:
    first, second = EmbeddedServer(tmp_path), EmbeddedServer(tmp_path)
    urls = await asyncio.gather(first.start(), second.start())
    assert set(urls) == {first.wdc_url}
    pid = await process_of(first)
    await first.stop()
    assert await process_of(second) == pid
    await second.stop()
    third = EmbeddedServer(tmp_path)
    await third.start()
    assert await process_of(third) != pid
    await third.stop()


READER = """
import asyncio, sys
from pathlib import Path
from tapewire.caches.embedded import EmbeddedServer

async def main():
    server = EmbeddedServer(Path(sys.argv[1]))
    await server.start()
    print("ready", flush=True)
    sys.stdin.readline()
    await server.stop()

asyncio.run(main())
"""


async def test_another_process_may_start_it_and_be_killed(tmp_path: Path) -> None:
    with subprocess.Popen(  # noqa: ASYNC220 - it starts at once
        [sys.executable, "-c", READER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as other:
        assert other.stdout is not None
        assert await asyncio.to_thread(other.stdout.readline) == b"ready\n"
        server = EmbeddedServer(tmp_path)
        await server.start()
        await set_value(server.wdc_url, "kept")
        other.send_signal(signal.SIGKILL)
    assert await get_value(server.wdc_url) == b"kept"
    pid = await process_of(server)
    await server.stop()
    assert not server.socket.exists() or not is_running(pid)
    await server.start()
    assert await get_value(server.wdc_url) == b"kept"
    await server.stop()


async def test_a_server_that_was_killed_is_started_anew(tmp_path: Path) -> None:
    server, second = EmbeddedServer(tmp_path), EmbeddedServer(tmp_path)
    await server.start()
    os.kill(await process_of(server), signal.SIGKILL)
    await server.stop()
    await second.start()
    await second.stop()


async def test_a_long_path_gets_a_short_private_socket(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / ("d" * 100))
    assert len(str(server.socket)) < 100
    await server.start()
    assert server.socket.parent.stat().st_mode & 0o077 == 0
    await server.stop()


async def test_a_folder_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DependencyMissing, match="set TAPEWIRE_DATA_DIR"):
        await EmbeddedServer(tmp_path / "file").start()


async def test_without_a_program_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tapewire.caches.binaries._in_wheel", lambda: None)
    with pytest.raises(DependencyMissing, match=r"WDC_REDIS_URL.*|redis-server"):
        await EmbeddedServer(tmp_path, path=str(tmp_path)).start()


async def test_a_program_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=5.0.7 sha=0'\n")
    old.chmod(0o755)
    assert version_of(old) == ("redis", (5, 0))
    assert find_server(str(tmp_path)).name == "valkey-server"


async def test_the_wheels_server_does_where_the_path_has_none(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path, path=str(tmp_path))
    await server.start()
    await set_value(server.wdc_url, "x")
    await server.stop()
    await server.start()
    assert await get_value(server.wdc_url) == b"x"
    await server.stop()


async def test_data_that_it_cannot_read_ends_with_the_logs_last_words(tmp_path: Path) -> None:
    folder = tmp_path / "redis"
    folder.mkdir()
    (folder / "dump.rdb").write_bytes(b"not a dump at all")
    with pytest.raises(DependencyMissing, match="ended at once") as failed:
        await EmbeddedServer(tmp_path).start()
    assert str(folder) in str(failed.value)


def test_a_large_log_is_begun_anew(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_bytes(b"x" * 1_000_001)
    program = shutil.which("true")
    assert program is not None
    os.waitpid(spawn(Path(program), {}, log), 0)
    assert log.stat().st_size == 0
