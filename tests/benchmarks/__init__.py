"""The benchmarks on a few events: what they feed, what they expect, what they notice."""
