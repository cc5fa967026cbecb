"""Data providers: each speaks its protocol in a sans-IO core under a thin socket client."""
