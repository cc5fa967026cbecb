"""Processors as ``tapewire run processor`` processes, over the servers of a test's system."""

from pathlib import Path

from tapewire.runtime.process_manager import WorkerSpec, tapewire_command
from tests.faults.system import RealServers
from tests.runtime.processes import environ


def environment(servers: RealServers, data_dir: Path, **more: str) -> dict[str, str]:
    """The environment of a ``tapewire`` command over these servers, trades only."""
    settings = {
        "RABBITMQ_URL": servers.rabbitmq_url,
        "MDC_REDIS_URL": servers.redis_url,
        "WDC_REDIS_URL": servers.redis_url,
        "MASSIVE_SUBSCRIPTIONS": "T.*",
        "MARKET_DATA_MESSAGE_TTL": "none",
        "TAPEWIRE_DATA_DIR": str(data_dir),
        "TAPEWIRE_LOG_FORMAT": "json",
    }
    return environ(**settings, **more)


def processor(index: int, processors: int, log: Path, *options: str) -> WorkerSpec:
    """One processor; ``--lossless`` lets its clocks follow the events."""
    words = ("--index", str(index), "--processors", str(processors), "--http", "off", *options)
    command = tapewire_command("run", "processor", "--lossless", *words)
    return WorkerSpec(f"processor-{index}", command, log_path=log)
