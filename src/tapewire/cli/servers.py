"""Redis and RabbitMQ as the settings name them, and what to say when one does not answer."""

from collections.abc import Iterator
from contextlib import contextmanager

from tapewire.caches.cache import CacheError
from tapewire.caches.widget_cache import RedisWidgetCache
from tapewire.queues.queue import QueueError
from tapewire.runtime.service import DependencyMissing, UsageError
from tapewire.runtime.settings import Settings


def server(settings: Settings, name: str) -> str:
    """A server's address from the settings; DependencyMissing that names the setting."""
    try:
        return settings.required(name)
    except UsageError as error:
        raise DependencyMissing(str(error)) from error


@contextmanager
def reaching(name: str) -> Iterator[None]:
    """Say which setting holds the address of a server that does not answer."""
    try:
        yield
    except (CacheError, QueueError) as error:
        raise DependencyMissing(
            f"{name.upper()}: {error}. Start that server, or correct the setting."
        ) from error


def build_widget_cache(settings: Settings) -> RedisWidgetCache:
    """WDC; whoever asks closes it."""
    return RedisWidgetCache(server(settings, "wdc_redis_url"))
