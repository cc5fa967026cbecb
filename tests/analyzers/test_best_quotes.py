"""Best bids and offers: the newest of each symbol, once a second, whatever the order."""

from hypothesis import given
from hypothesis import strategies as st

from tapewire.analyzers.best_quotes import BestQuotes
from tapewire.model.events import Clock, Event, Quote
from tapewire.model.feeds import best_quote_hash
from tapewire.model.rows import BestQuote, decode_best_quote
from tests.analyzers.market import Rows
from tests.analyzers.tape import CALENDAR, FRIDAY, MONDAY, clock, gap, ms


class Book:
    """A shard of quotes, and the rows that its flushes left."""

    def __init__(self) -> None:
        self.fold = BestQuotes(CALENDAR)
        self.rows: Rows = {}
        self.private: Rows = {}

    def show(self, *events: Event) -> "Book":
        self.fold.apply(events)
        changes = self.fold.drain()
        for stored, changed in ((self.rows, changes.rows), (self.private, changes.private)):
            for name, values in changed.items():
                stored.setdefault(name, {}).update(values)
        return self

    def restart(self) -> "Book":
        self.show()
        self.fold = BestQuotes(CALENDAR)
        names = self.fold.first_hashes()
        first = {name: self.private.get(name, {}) for name in names}
        further = {name: self.private.get(name, {}) for name in self.fold.further_hashes(first)}
        self.fold.restore(first | further)
        return self

    def quotes(self, date: str = FRIDAY) -> dict[str, BestQuote]:
        rows = self.rows.get(best_quote_hash(date), {})
        return {symbol: decode_best_quote(row) for symbol, row in rows.items()}


def quote(
    symbol: str,
    bid: float,
    ask: float,
    *,
    at: str,
    sequence: int = 0,
    date: str = FRIDAY,
) -> Quote:
    return Quote(symbol, ms(at, date), bid, 3, ask, 5, sequence=sequence)


def test_rows_come_once_a_second() -> None:
    book = Book().show(quote("AAPL", 10.0, 10.2, at="09:31:00.100"))
    assert book.quotes() == {}
    book.show(quote("AAPL", 10.1, 10.2, at="09:31:00.900"))
    assert book.quotes() == {}
    book.show(quote("IBM", 20.0, 20.1, at="09:31:01"))
    assert book.quotes() == {
        "AAPL": BestQuote("AAPL", 10.1, 10.2, 3, 5, ms("09:31:00.900")),
    }


def test_only_what_changed_is_written() -> None:
    book = Book().show(quote("AAPL", 10.0, 10.2, at="09:31:00"), clock("09:31:01"))
    book.rows.clear()
    book.show(quote("IBM", 20.0, 20.1, at="09:31:01"), clock("09:31:02"))
    assert set(book.quotes()) == {"IBM"}


def test_a_missing_side_is_null() -> None:
    book = Book().show(quote("AAPL", 0.0, 10.2, at="09:31:00"), clock("09:31:01"))
    assert book.quotes()["AAPL"] == BestQuote("AAPL", None, 10.2, None, 5, ms("09:31"))


def test_the_newest_by_time_and_sequence_counts() -> None:
    book = Book().show(
        quote("AAPL", 10.0, 10.2, at="09:31:00.500", sequence=7),
        quote("AAPL", 9.0, 9.2, at="09:31:00.400", sequence=6),
        quote("AAPL", 8.0, 8.2, at="09:31:00.500", sequence=5),
        clock("09:31:01"),
    )
    assert book.quotes()["AAPL"].bid == 10.0
    assert book.fold.skipped == {"out_of_order": 2}
    book.show(quote("AAPL", 7.0, 7.2, at="09:31:00.500", sequence=8), clock("09:31:02"))
    assert book.quotes()["AAPL"].bid == 7.0


def test_a_late_quote_that_is_its_symbols_newest_counts() -> None:
    book = Book().show(quote("AAPL", 10.0, 10.2, at="09:31:05"))
    book.show(quote("IBM", 20.0, 20.2, at="09:31:03"), clock("09:31:06"))
    assert book.quotes()["IBM"].bid == 20.0


def test_what_cannot_be_is_counted() -> None:
    book = Book().show(
        quote("AAPL", 10.0, 10.2, at="09:31"),
        quote("AAPL", -1.0, 10.2, at="09:31:01"),
        quote("IBM", 1.0, 1.1, at="09:15:59"),
        Quote("IBM", 10**15, 1.0, 1, 1.1, 1),
    )
    assert book.fold.skipped == {"bad_price": 1, "too_late": 1, "bad_timestamp": 1}


def test_a_day_begins_with_an_empty_book() -> None:
    book = Book().show(quote("AAPL", 10.0, 10.2, at="19:59:59"))
    book.show(quote("IBM", 20.0, 20.2, at="04:00:00", date=MONDAY))
    book.show(clock("04:00:01", date=MONDAY), quote("AAPL", 1.0, 1.1, at="19:59:59.5"))
    assert set(book.quotes(FRIDAY)) == {"AAPL"}
    assert set(book.quotes(MONDAY)) == {"IBM"}
    assert book.fold.skipped == {"too_late": 1}


def test_a_restart_in_the_middle_of_a_second() -> None:
    book = Book().show(quote("AAPL", 10.0, 10.2, at="09:31:00.100"))
    book.restart().show(quote("AAPL", 9.0, 9.2, at="09:31:00.050"))
    book.show(gap("09:31", "09:31")).restart()
    book.show(clock("09:31:01"))
    assert book.quotes()["AAPL"].bid == 10.0
    assert book.restart().fold.second_ms == ms("09:31:01")


def test_a_store_that_lost_everything_is_filled_again() -> None:
    book = Book().show(quote("AAPL", 10.0, 10.2, at="09:31"), quote("IBM", 1.0, 1.1, at="09:31:01"))
    before = book.quotes()
    book.rows, book.private = {}, {}
    book.fold.renew()
    assert book.show().quotes() == before
    assert set(book.restart().show(clock("09:31:02")).quotes()) == {"AAPL", "IBM"}


TICKS = st.lists(
    st.tuples(st.sampled_from(("AAPL", "IBM")), st.integers(0, 4_000), st.integers(1, 9)),
    min_size=1,
    max_size=30,
)


@given(TICKS, st.data())
def test_any_order_any_split_and_restarts_end_the_same(
    ticks: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    start = ms("09:31")
    quotes = [
        Quote(symbol, start + t, 10.0 + n, 1, 11.0 + n, 1, sequence=n)
        for n, (symbol, t, _) in enumerate(ticks, 1)
    ]
    newest = {
        symbol: max(
            (q for q in quotes if q.symbol == symbol), key=lambda q: (q.timestamp_ms, q.sequence)
        )
        for symbol in {q.symbol for q in quotes}
    }
    arrivals = data.draw(st.permutations(quotes)) + data.draw(st.lists(st.sampled_from(quotes)))
    book = Book()
    for one in arrivals:
        book.fold.apply([one])
        if data.draw(st.booleans()):
            book.restart()
    book.show(Clock(start, final=True))
    assert {symbol: row.bid for symbol, row in book.quotes().items()} == {
        symbol: quote.bid for symbol, quote in newest.items()
    }
