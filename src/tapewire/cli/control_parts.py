"""``tapewire run control``: the control plane with its registry and the built dashboard."""

from contextlib import AsyncExitStack

from tapewire.caches.registry import RedisRegistry
from tapewire.cli.clock import wall_ms
from tapewire.cli.composed import Alongside
from tapewire.cli.servers import server
from tapewire.control.app import ControlConfig, build_app
from tapewire.control.pages import Dashboard, default_folder
from tapewire.control.service import ControlPlane
from tapewire.runtime.service import Service
from tapewire.runtime.settings import HTTP_PORTS, Settings


async def make_control(settings: Settings, stack: AsyncExitStack, _: Alongside) -> Service:
    """The control plane; DependencyMissing when there is no built dashboard."""
    dashboard = Dashboard(settings.tapewire_web_dir or default_folder())
    registry = RedisRegistry(server(settings, "mdc_redis_url"))
    stack.push_async_callback(registry.close)
    config = ControlConfig(stream_port=settings.http_port("widgets"))
    app = build_app(config, dashboard, registry.reports)
    setting = HTTP_PORTS["control"].upper()
    return ControlPlane(
        app, settings.tapewire_http_host, settings.http_port("control"), setting, wall_ms()
    )
