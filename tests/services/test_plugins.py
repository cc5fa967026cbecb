"""Which analyzers run, and what a package that cannot be run is told."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tapewire.analyzers.daily_range import DailyRangeAnalyzer
from tapewire.market.sessions import SessionCalendar
from tapewire.model import feeds
from tapewire.model.streams import Shard, Stream
from tapewire.runtime.service import UsageError
from tapewire.services.analysis import Analysis
from tapewire.services.plugins import BUILT_IN, CORE, PluginError, choose, core_of

CALENDAR = SessionCalendar.load("XNYS")

SOUND = """
from tapewire.analyzers.daily_range import DailyRangeAnalyzer, RangeRules
from tapewire.analyzers.plugin import Plugin
from tapewire.model.feeds import Feed, Kind
from tapewire.model.rows import DailyRange

feed = Feed("mine:{symbol}", Kind.STATE, "symbol", "mine", 3600, row=DailyRange)

def make(context):
    return DailyRangeAnalyzer(RangeRules(cooldown_s=context.number("cooldown_s", 1)))

plugin = Plugin(make=make, feeds=(feed,), options=frozenset({"cooldown_s"}))
"""


class Site:
    """A folder of installed packages, each with one module and one entry point."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def install(self, name: str, source: str, *, package: str = "", target: str = "plugin") -> None:
        package = package or f"tapewire-{name}"
        module = package.replace("-", "_")
        sys.modules.pop(module, None)  # that of another test
        (self._folder / f"{module}.py").write_text(source, "utf-8")
        info = self._folder / f"{module}-2.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 2.1\n")
        (info / "entry_points.txt").write_text(
            f"[tapewire.analyzers]\n{name} = {module}:{target}\n"
        )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(feeds, "_DECLARED", {})
    return Site(tmp_path)


def kinds(listed: Sequence[str], *topics: str, stream: Stream = Stream.TRADES) -> list[list[str]]:
    """Names of the parts of each fold of a shard."""
    make = Analysis.of(topics or ["T.*"]).choosing(listed).maker()
    return [
        [type(part).__name__ for part in fold._clock.parts]  # type: ignore[attr-defined]
        for fold in make(Shard(stream, 0))
    ]


def refusal(*listed: str) -> str:
    with pytest.raises(PluginError) as found:
        Analysis.of(["T.*"]).choosing(listed)
    assert isinstance(found.value, UsageError)
    assert found.value.exit_code == 2
    return str(found.value)


def test_the_usual_ones_are_on_by_default() -> None:
    assert core_of(["default"]) == set(CORE)
    usual = [name for name, plugin in BUILT_IN.items() if plugin.default]
    assert [one.name for one in choose(["default"])] == usual
    assert {"daily_range", "halts"} <= set(usual)


def test_a_list_without_default_runs_what_it_names_and_nothing_else() -> None:
    assert kinds(["leaderboard"]) == [["QuoteRecords", "LeaderboardAnalyzer"]]
    assert kinds(["daily_range"]) == [["DailyRangeAnalyzer"]]
    assert kinds(["candles"]) == [["AtomicOhlcEngine"]]
    assert kinds(["halts"]) == []


def test_options_reach_the_analyzer() -> None:
    (chosen,) = choose(["daily_range?cooldown_s=5&near_pct=1"])
    made = chosen.make(Stream.TRADES, CALENDAR)
    assert isinstance(made, DailyRangeAnalyzer)
    assert made._cooldown_ms == 5_000


def test_raw_events_are_passed_on_where_they_are_asked_for() -> None:
    make = Analysis.of(["T.*"]).choosing(["massive_data?streams=trades+halts"]).maker()
    feeds_of = {stream: [type(one).__name__ for one in make(Shard(stream, 0))] for stream in Stream}
    passed = ["MassiveDataAnalyzer"]
    assert {s: found for s, found in feeds_of.items() if found} == {
        Stream.TRADES: passed, Stream.HALTS: passed
    }  # fmt: skip
    assert "massive_data" not in {one.name for one in choose(["default"])}
    assert "streams='news' names 'news'" in refusal("massive_data?streams=news")


def test_a_plug_in_runs_beside_the_built_in_ones(site: Site) -> None:
    site.install("mine", SOUND)
    (fold,) = kinds(["default", "mine?cooldown_s=3"])
    assert fold.count("DailyRangeAnalyzer") == 2
    assert kinds(["mine"], "T.*", "A.*", stream=Stream.TRADES) == []
    assert kinds(["mine"], "T.*", "A.*", stream=Stream.AGGREGATE) == [["DailyRangeAnalyzer"]]


def test_a_plug_ins_feeds_are_known_once_it_is_chosen(site: Site) -> None:
    site.install("mine", SOUND)
    assert feeds.ttl_s("mine:2026-11-20") == feeds.PRIVATE_TTL_S
    choose(["mine"])
    choose(["mine"])
    assert feeds.ttl_s("mine:2026-11-20") == 3600
    assert [feed.pattern for feed in feeds.all_feeds()][-1] == "mine:{symbol}"


def test_a_broken_package_that_nobody_asked_for_harms_nothing(site: Site) -> None:
    site.install("broken", "import nothing_of_this_name")
    assert kinds(["candles"]) == [["AtomicOhlcEngine"]]


BROKEN = {
    "import nothing_of_this_name": "cannot be loaded: ModuleNotFoundError: No module named"
    " 'nothing_of_this_name'. Repair or remove the package",
    "x = 1": "cannot be loaded: AttributeError",
    "def plugin(): ...": "is a function; expected a tapewire.analyzers.plugin.Plugin",
    SOUND.replace("return", "return 7 #"): "built a int for the stream trades, which lacks cut,",
    SOUND.replace("return", "raise OSError('no') #"): "cannot be built: OSError: no",
    SOUND.replace(
        '"mine", 3600', '"quote", 3600'
    ): "the family 'quote' is that of 'quote:{symbol}'",
    SOUND.replace('"mine", 3600', '"place", 3600'): "feeds may not be called place",
}


@pytest.mark.parametrize("source", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_package_is_named(site: Site, source: str) -> None:
    site.install("mine", source)
    message = refusal("default", "mine")
    assert message.startswith(
        "analyzer 'mine' of tapewire-mine 2.1 (entry point tapewire_mine:plugin)"
    )
    assert BROKEN[source] in message


def test_a_name_that_nobody_has_is_answered_with_those_there_are(site: Site) -> None:
    site.install("mine", SOUND)
    message = refusal("nobody")
    assert "TAPEWIRE_ANALYZERS names 'nobody', which is not installed here" in message
    assert "candles, daily_range, halts" in message
    assert "mine" in message


def test_unknown_options_and_wrong_values_are_refused(site: Site) -> None:
    site.install("mine", SOUND)
    assert refusal("daily_range?cooldown=5") == (
        "analyzer 'daily_range' has no option cooldown;"
        " it has: cooldown_s, near_pct, rising, running_cooldown_s"
    )
    assert "option cooldown_s='x' is not a number" in refusal("mine?cooldown_s=x")
    assert "has no option y; it has: cooldown_s" in refusal("mine?y=1")


def test_two_packages_with_one_name_are_refused(site: Site) -> None:
    site.install("mine", SOUND)
    site.install("mine", SOUND, package="other-mine")
    assert refusal("mine").startswith("several packages bring an analyzer 'mine': ")


def test_a_part_cannot_fold_a_stream_without_bars(site: Site) -> None:
    site.install(
        "mine",
        SOUND.replace("make=make,", "make=make, streams=(Stream.HALTS,),").replace(
            "from tapewire.model.rows",
            "from tapewire.model.streams import Stream\nfrom tapewire.model.rows",
        ),
    )
    assert "for the stream halts, which lacks stream, apply" in refusal("mine")
