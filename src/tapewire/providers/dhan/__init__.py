"""Dhan live market feed v2: the little-endian packet protocol (sans-IO)."""
