"""Tests of what make runs."""
