"""The widgets benchmark with few clients, and the clients it counts with."""

from benchmarks.streams import StreamClient, percentile
from benchmarks.widgets import ROWS, flush_of, through
from tapewire.model.rows import decode_quote


def test_a_small_run_measures_every_frame(redis_url: str) -> None:
    latencies, wrong = through(redis_url, 1.0, 20)
    assert wrong == []
    assert len(latencies) == 20 * 10, "every flush of a second, for every client"
    assert all(0 < latency < 5 for latency in latencies)


def test_every_flush_changes_every_row() -> None:
    [first], [second] = (list(flush_of(number).rows.values()) for number in (0, 1))
    assert len(first) == len(second) == ROWS
    assert all(first[symbol] != second[symbol] for symbol in first)
    assert {decode_quote(row).volume for row in second.values()} == {1}


def frame(text: bytes) -> bytes:
    return b"\x81\x7e" + len(text).to_bytes(2, "big") + text


def test_a_client_reads_frames_in_any_pieces_and_notices_a_broken_chain() -> None:
    taken: list[bytes] = []
    client = StreamClient(0, b"{}", lambda _, text, __: taken.append(text))
    client._is_open = True
    texts = [b'"seq":%d,"prev":%d' % pair for pair in ((5, 1), (7, 5), (9, 8), (11, 9))]
    data = b"".join(map(frame, texts))
    for at in range(0, len(data), 7):
        client.data_received(data[at : at + 7])
    assert taken == texts
    assert (client.frames, client.broken) == (4, 1)


def test_percentiles() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert percentile(values, 0.5) == 51
    assert percentile(values, 0.99) == 100
    assert percentile([3.0], 0.99) == 3
