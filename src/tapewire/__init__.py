"""Tapewire, a market data platform: one provider socket in, live boards and candles out."""

__version__ = "0.1.0"
