"""Tests of providers/massive."""
