"""Committed measurements; ``python -m benchmarks`` runs them."""
