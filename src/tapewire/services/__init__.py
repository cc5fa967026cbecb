"""The long-running services: each wires pure parts to parts with I/O."""
