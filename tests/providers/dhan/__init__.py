"""Tests of providers/dhan."""
