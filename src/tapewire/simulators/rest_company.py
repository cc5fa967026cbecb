"""What the simulated provider knows of companies: made up from the ticker, the same each time.

Details, names, short interest and volume, splits, dividends, news and pictures. Figures hang
together with the market's own: short volume is a part of the day's volume, short interest a part
of the float, and a split or dividend lies before the day that is played.
"""

from __future__ import annotations

import datetime as dt
from binascii import crc32
from collections.abc import Callable
from typing import Final

from tapewire.market.sessions import SessionCalendar
from tapewire.simulators.made_up_market import mix, uniform
from tapewire.simulators.rest_answers import Row
from tapewire.simulators.sources import DailyBar, TickerReference

PNG: Final = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360"
    "6060f80f0000050001a5f645400000000049454e44ae426082"
)
"""A picture of one pixel."""

_SVG: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="96" height="32">'
    '<rect width="96" height="32" fill="#{color:06x}"/>'
    '<text x="8" y="22" fill="#fff" font-family="sans-serif">{symbol}</text></svg>'
)
_TRADES: Final = ("3674", "SEMICONDUCTORS & RELATED DEVICES"), ("2834", "PHARMACEUTICALS")


class Companies:
    """The companies behind the tickers, as seen on ``today()``."""

    def __init__(self, calendar: SessionCalendar, today: Callable[[], str]) -> None:
        self._calendar = calendar
        self._today = today

    def details(self, row: TickerReference, price: float | None, base: str) -> Row:
        """What the filings say; pictures are at ``base``."""
        symbol, bits = row.symbol, _bits(row.symbol, 1)
        shares = int((row.free_float or 0) / ((row.free_float_percent or 100) / 100))
        code, trade = _TRADES[bits % len(_TRADES)]
        pictures = f"{base}/v1/reference/company-branding/{symbol}/images/2026-01-02"
        found: Row = {
            "ticker": symbol,
            "name": row.name,
            "market": "stocks",
            "locale": "us",
            "type": "CS",
            "active": True,
            "currency_name": "usd",
            "cik": f"{bits % 2_000_000:010d}",
            "list_date": f"{1990 + bits % 30}-06-0{1 + bits % 9}",
            "sic_code": code,
            "sic_description": trade,
            "ticker_root": symbol,
            "round_lot": 100,
            "total_employees": 50 + bits % 90_000,
            "description": f"{row.name} is a company of a market that does not exist.",
            "branding": {"logo_url": f"{pictures}_logo.svg", "icon_url": f"{pictures}_icon.png"},
        }
        if row.primary_exchange:
            found["primary_exchange"] = row.primary_exchange
        if shares:
            found["share_class_shares_outstanding"] = shares
            found["weighted_shares_outstanding"] = shares
            if price:
                found["market_cap"] = round(shares * price, 2)
        return found

    def events(self, row: TickerReference) -> Row:
        """One name, the present one, since the listing."""
        bits = _bits(row.symbol, 1)
        event = {
            "date": f"{1990 + bits % 30}-06-0{1 + bits % 9}",
            "type": "ticker_change",
            "ticker_change": {"ticker": row.symbol},
        }
        return {"name": row.name, "cik": f"{bits % 2_000_000:010d}", "events": [event]}

    def short_interest(self, row: TickerReference, volume: int) -> list[Row]:
        """The last six reports, newest first: middle and end of each month."""
        day = dt.date.fromisoformat(self._today())
        reports: list[Row] = []
        while len(reports) < 6:
            day = day.replace(day=15) if day.day > 15 else day.replace(day=1) - dt.timedelta(1)
            part = 0.01 + 0.2 * uniform(_bits(row.symbol, 2), day.toordinal() // 60)
            short = int((row.free_float or 20 * volume) * part)
            reports.append(
                {
                    "ticker": row.symbol,
                    "settlement_date": day.isoformat(),
                    "short_interest": short,
                    "avg_daily_volume": volume,
                    "days_to_cover": round(max(short / max(volume, 1), 1.0), 2),
                }
            )
        return reports

    def short_volume(self, symbol: str, date: str, bar: DailyBar) -> Row:
        """One day's part that was sold short, spread over the reporting facilities."""
        part = 0.3 + 0.3 * uniform(_bits(symbol, 3), dt.date.fromisoformat(date).toordinal())
        short = int(bar.volume * part)
        exempt = short // 100
        return {
            "ticker": symbol,
            "date": date,
            "total_volume": bar.volume,
            "short_volume": short,
            "short_volume_ratio": round(100 * short / bar.volume, 2) if bar.volume else 0,
            "exempt_volume": exempt,
            "non_exempt_volume": short - exempt,
            "nasdaq_carteret_short_volume": short - short // 4,
            "nasdaq_carteret_short_volume_exempt": exempt,
            "nyse_short_volume": short // 4,
            "nyse_short_volume_exempt": 0,
        }

    def splits(self, row: TickerReference) -> list[Row]:
        """At most one, some years ago; most tickers have had none."""
        bits = _bits(row.symbol, 4)
        if bits % 4:
            return []
        year = int(self._today()[:4]) - 1 - bits // 4 % 8
        to = (2, 3, 4, 10)[bits // 64 % 4]
        split: Row = {
            "id": f"E{bits:016x}",
            "ticker": row.symbol,
            "execution_date": f"{year}-06-10",
            "split_from": 1,
            "split_to": to,
            "adjustment_type": "forward_split",
            "historical_adjustment_factor": round(1 / to, 6),
        }
        return [split]

    def dividends(self, row: TickerReference, price: float | None) -> list[Row]:
        """Four a year for every other ticker, newest first, the last four."""
        bits = _bits(row.symbol, 5)
        if bits % 2 or not price:
            return []
        day = dt.date.fromisoformat(self._today())
        first = dt.date(day.year, (day.month - 1) // 3 * 3 + 1, 1)
        paid: list[Row] = []
        for number in range(4):
            ex_date = first - dt.timedelta(days=91 * number)
            paid.append(
                {
                    "id": f"E{bits:015x}{number}",
                    "ticker": row.symbol,
                    "cash_amount": round(price * 0.005, 3),
                    "currency": "USD",
                    "declaration_date": (ex_date - dt.timedelta(21)).isoformat(),
                    "ex_dividend_date": ex_date.isoformat(),
                    "record_date": (ex_date + dt.timedelta(1)).isoformat(),
                    "pay_date": (ex_date + dt.timedelta(14)).isoformat(),
                    "frequency": 4,
                    "distribution_type": "recurring",
                }
            )
        return paid

    def news(self, row: TickerReference) -> list[Row]:
        """Two headlines of yesterday, newest first."""
        date = self._calendar.previous_session(self._today()).date
        words = ("reports its quarter", "opens a new plant")
        return [
            {
                "id": f"{_bits(row.symbol, 6):016x}{number}",
                "title": f"{row.name} {what}",
                "author": "Simulated Desk",
                "published_utc": f"{date}T{21 - number}:05:00Z",
                "article_url": f"https://news.example.com/{row.symbol.lower()}/{number}",
                "description": f"{row.name} {what}. This company does not exist.",
                "tickers": [row.symbol],
                "keywords": ["simulated"],
                "publisher": {"name": "Simulated Wire", "homepage_url": "https://example.com/"},
            }
            for number, what in enumerate(words)
        ]

    def logo(self, symbol: str) -> bytes:
        """An SVG with the ticker on a colour of its own."""
        return _SVG.format(color=_bits(symbol, 7) & 0x7F7F7F, symbol=symbol).encode()


def _bits(symbol: str, number: int) -> int:
    return mix(crc32(symbol.encode()), number)
