"""Fake provider servers, the market generator, and readers of recorded data."""
