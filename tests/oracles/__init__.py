"""Recomputations that share no code with the package: they read the zip files themselves."""
