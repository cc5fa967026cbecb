"""Tests of the analyzers, and the small language they are written in."""
