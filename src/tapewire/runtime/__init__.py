"""Settings, service lifecycle, process manager, logging, health: what every service runs in."""
