"""Tests of providers/fyers."""
