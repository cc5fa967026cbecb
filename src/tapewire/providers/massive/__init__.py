"""Massive.com stocks: wire events, the WebSocket protocol (sans-IO) and its client."""
