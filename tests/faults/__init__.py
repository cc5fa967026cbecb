"""Faults of the whole data path: real servers and sockets, exact counters."""
