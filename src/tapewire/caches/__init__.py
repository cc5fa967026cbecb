"""Market Data Cache (MDC) and Widget Data Cache (WDC) on Redis or Valkey."""
