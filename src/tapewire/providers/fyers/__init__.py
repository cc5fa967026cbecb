"""Fyers data socket (HSM): the big-endian frame protocol (sans-IO)."""
