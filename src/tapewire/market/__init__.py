"""The rules of the market: sessions and calendars, trade conditions, symbols. Pure."""
