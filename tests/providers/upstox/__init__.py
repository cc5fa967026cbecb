"""Tests of the Upstox V3 protocol."""
