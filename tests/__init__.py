"""Tests: a mirror of ``src/tapewire``, plus integration, faults, properties and e2e."""
