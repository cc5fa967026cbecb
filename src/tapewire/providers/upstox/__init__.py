"""Upstox Market Data Feed V3: messages, the protobuf reader and the protocol (sans-IO)."""
