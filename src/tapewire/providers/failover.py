"""Which broker is listened to: primary and backups in order, as a machine without a clock.

The feed shows once a second what it sees of each broker (`Seen`); ``judge`` says who is active
and whose clients must run. A change is made before the old is broken off: a backup connects and
proves itself while the active one, good or bad, is still listened to, so at most two run.

What a broker may become (its `Standing`) on what news is one table, ``BECOMES``; what counts as
a fault of the active one is another, ``FAULTS``.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct, field

MAX_SWITCHES: Final = 100
"""Switches remembered for reports; all are counted."""


class Standing(StrEnum):
    """What a broker is at the moment.

    ``probed`` and ``doubted`` run too: the one must prove itself, the other has a fault and is
    active until somebody better has. ``resting`` has failed and is left alone for a while;
    ``ended`` will not work until somebody does something about it (`Failover.revive`).
    """

    IDLE = "idle"
    PROBED = "probed"
    ACTIVE = "active"
    DOUBTED = "doubted"
    RESTING = "resting"
    ENDED = "ended"


class News(StrEnum):
    """What can happen to a broker."""

    CHOSEN = "chosen"
    APPOINTED = "appointed"
    PROVED = "proved"
    FAILED = "failed"
    RECOVERED = "recovered"
    NOT_NEEDED = "not_needed"
    RELIEVED = "relieved"
    RESTED = "rested"
    ENDED = "ended"
    REVIVED = "revived"


_S, _N = Standing, News
BECOMES: Final[Mapping[tuple[Standing, News], Standing]] = {
    (_S.IDLE, _N.CHOSEN): _S.PROBED,
    (_S.IDLE, _N.APPOINTED): _S.ACTIVE,  # nobody else is there: listen from the first tick on
    (_S.PROBED, _N.PROVED): _S.ACTIVE,
    (_S.PROBED, _N.APPOINTED): _S.ACTIVE,
    (_S.PROBED, _N.FAILED): _S.RESTING,
    (_S.PROBED, _N.NOT_NEEDED): _S.IDLE,
    (_S.PROBED, _N.ENDED): _S.ENDED,
    (_S.ACTIVE, _N.FAILED): _S.DOUBTED,
    (_S.ACTIVE, _N.RELIEVED): _S.IDLE,
    (_S.ACTIVE, _N.ENDED): _S.ENDED,
    (_S.DOUBTED, _N.RECOVERED): _S.ACTIVE,
    (_S.DOUBTED, _N.RELIEVED): _S.RESTING,
    (_S.DOUBTED, _N.ENDED): _S.ENDED,
    (_S.RESTING, _N.RESTED): _S.IDLE,
    (_S.RESTING, _N.APPOINTED): _S.ACTIVE,  # better than nobody
    (_S.ENDED, _N.REVIVED): _S.IDLE,
}
"""What becomes of a broker; a pair that is not here cannot happen."""

RUNNING: Final = frozenset({Standing.PROBED, Standing.ACTIVE, Standing.DOUBTED})
LISTENED_TO: Final = frozenset({Standing.ACTIVE, Standing.DOUBTED})


class FailoverLimits(Struct, frozen=True):
    """When to change brokers; seconds where nothing else is said.

    ``silence_s``: without a live tick for so long while the market is open (lists of
    instruments that hardly trade need more). ``unreachable_s``: no longer ready for so long.
    More than ``max_interruptions`` within ``window_s`` (lost connections, gaps) are too many.
    Whoever begins has ``prove_s`` to get ready and, to replace one that works, must then stay
    so for ``stable_s``. Who failed rests ``rest_s``, twice as long after each further failure,
    at most ``longest_rest_s``; ``stable_s`` as the active one forgives earlier failures.
    """

    silence_s: float = 15.0
    unreachable_s: float = 10.0
    max_interruptions: int = 3
    window_s: float = 300.0
    prove_s: float = 60.0
    stable_s: float = 60.0
    settle_s: float = 2.0
    rest_s: float = 120.0
    longest_rest_s: float = 1800.0


class Seen(Struct, frozen=True):
    """One broker as its client shows it.

    ``ready``: authenticated, subscriptions proved. ``heard_s``: when its last tick came that
    was no snapshot. ``interruptions`` only grow: connections lost after data, gaps.
    """

    ready: bool = False
    heard_s: float | None = None
    interruptions: int = 0
    ended: bool = False


_NOTHING: Final = Seen()
"""Shown by a broker of which nothing is seen."""


class Switch(Struct, frozen=True):
    """A change of the active broker; ``source`` and ``target`` are None for nobody.

    ``hole``: the one before was not delivering when it happened, so something is missing.
    """

    at_s: float
    source: str | None
    target: str | None
    reason: str
    hole: bool


class _Run(Struct):
    """A broker's client while it runs: since when, and what was seen of it."""

    since_s: float
    counted: int | None = None
    ready_since_s: float | None = None
    unready_since_s: float | None = None
    was_ready: bool = False
    interruptions: deque[float] = field(default_factory=deque)

    def observe(self, seen: Seen, now_s: float, window_s: float) -> None:
        """Note whether it is ready, and the interruptions of the window."""
        if seen.ready:
            self.was_ready, self.unready_since_s = True, None
            self.ready_since_s = now_s if self.ready_since_s is None else self.ready_since_s
        else:
            self.ready_since_s = None
            self.unready_since_s = now_s if self.unready_since_s is None else self.unready_since_s
        if seen is not _NOTHING:
            known = seen.interruptions if self.counted is None else self.counted
            self.interruptions.extend([now_s] * (seen.interruptions - known))
            self.counted = seen.interruptions
        while self.interruptions and now_s - self.interruptions[0] > window_s:
            self.interruptions.popleft()


class _Candidate(Struct):
    """One broker in the machine; ``since_s`` and ``reason`` are those of its standing."""

    name: str
    rank: int
    standing: Standing = Standing.IDLE
    since_s: float = 0.0
    reason: str = ""
    run: _Run | None = None
    rest_until_s: float = 0.0
    failures: int = 0


class _Situation(Struct):
    """A running broker as a fault is judged. ``open_since_s``: None while the market is closed."""

    run: _Run
    seen: Seen
    now_s: float
    open_since_s: float | None
    limits: FailoverLimits


def _is_unreachable(at: _Situation) -> bool:
    if at.run.unready_since_s is None:
        return False
    allowed_s = at.limits.unreachable_s if at.run.was_ready else at.limits.prove_s
    return at.now_s - at.run.unready_since_s >= allowed_s


def _is_unsteady(at: _Situation) -> bool:
    return len(at.run.interruptions) > at.limits.max_interruptions


def _is_silent(at: _Situation) -> bool:
    if at.open_since_s is None or not at.run.was_ready:
        return False
    began_s = at.run.ready_since_s or at.run.since_s
    last_s = max(at.open_since_s, began_s, at.seen.heard_s or 0.0)
    return at.now_s - last_s >= at.limits.silence_s


FAULTS: Final[Mapping[str, Callable[[_Situation], bool]]] = {
    "unreachable": _is_unreachable,
    "unsteady": _is_unsteady,
    "silent": _is_silent,
}
"""What makes the active broker a doubted one, and keeps a probed one from replacing it."""


class Failover:
    """The machine for brokers in order of preference, the primary first.

    Raises ValueError for no broker or one named twice. ``switches`` are the last ones, the
    first appointment included; ``switched`` counts them all.
    """

    def __init__(self, brokers: Sequence[str], limits: FailoverLimits | None = None) -> None:
        if not brokers or len(set(brokers)) < len(brokers):
            raise ValueError(f"brokers are {list(brokers)}; expected one or more, each once")
        self.limits = limits or FailoverLimits()
        self._all = [_Candidate(name, rank) for rank, name in enumerate(brokers)]
        self._seen: Mapping[str, Seen] = {}
        self._now_s = 0.0
        self._open_since_s: float | None = None
        self.switches: deque[Switch] = deque(maxlen=MAX_SWITCHES)
        self.switched = 0

    # -- what can be seen of it

    @property
    def active(self) -> str | None:
        """The broker that is listened to; None before the first judgment, or when all ended."""
        return _name(self._first(LISTENED_TO))

    @property
    def probed(self) -> str | None:
        """The broker that is to prove itself."""
        return _name(self._first({Standing.PROBED}))

    @property
    def running(self) -> list[str]:
        """The brokers whose clients must run, at most two."""
        return [one.name for one in self._all if one.standing in RUNNING]

    @property
    def standings(self) -> dict[str, Standing]:
        """Every broker's standing, in order of preference."""
        return {one.name: one.standing for one in self._all}

    @property
    def reasons(self) -> dict[str, str]:
        """Why each broker has its standing."""
        return {one.name: one.reason for one in self._all}

    @property
    def exhausted(self) -> bool:
        """Every broker has ended for good."""
        return all(one.standing is Standing.ENDED for one in self._all)

    # -- what it is told

    def revive(self, broker: str) -> bool:
        """Somebody did something about a broker that had ended; False when it had not."""
        one = next((one for one in self._all if one.name == broker), None)
        if one is None or one.standing is not Standing.ENDED:
            return False
        self._tell(one, News.REVIVED, "revived")
        return True

    def judge(self, now_s: float, seen: Mapping[str, Seen], *, market_open: bool) -> list[Switch]:
        """Take in what is seen of the brokers; returns the switches that follow, oldest first.

        ``now_s`` is of any steady clock, above 0, and never goes back. A broker that is not
        in ``seen`` shows nothing.
        """
        self._now_s, self._seen = now_s, seen
        if not market_open:
            self._open_since_s = None
        elif self._open_since_s is None:
            self._open_since_s = now_s
        made = self.switched
        self._observe()
        ended = self._end()
        if self._first(LISTENED_TO) is None:
            self._appoint(ended)
        self._doubt()
        self._prove()
        self._choose()
        made = self.switched - made
        return list(self.switches)[-made:] if made else []

    # -- steps of a judgment

    def _observe(self) -> None:
        for one in self._all:
            if one.run is not None:
                one.run.observe(self._shown(one), self._now_s, self.limits.window_s)
            elif one.standing is Standing.RESTING and self._now_s >= one.rest_until_s:
                self._tell(one, News.RESTED, "rested")

    def _end(self) -> _Candidate | None:
        """Take those out that have ended; returns the one that was listened to."""
        lost = None
        for one in self._all:
            if one.standing in RUNNING and self._shown(one).ended:
                lost = one if one.standing in LISTENED_TO else lost
                self._tell(one, News.ENDED, "ended")
        return lost

    def _appoint(self, lost: _Candidate | None) -> None:
        """Listen to the next best at once, ready or not: there is nobody else."""
        order = {Standing.PROBED: 0, Standing.IDLE: 1, Standing.RESTING: 2}
        able = [one for one in self._all if one.standing in order]
        target = min(able, key=lambda one: (order[one.standing], one.rank), default=None)
        if target is not None:
            self._tell(target, News.APPOINTED, "ended" if lost else "start")
        if target is not None or lost is not None:
            self._switch(lost, target, "ended" if lost else "start", hole=self.switched > 0)

    def _doubt(self) -> None:
        active = self._first(LISTENED_TO)
        if active is None:
            return
        fault = self._fault(active)
        if active.standing is Standing.DOUBTED:
            if fault is None:
                self._tell(active, News.RECOVERED, "recovered")
            else:
                active.reason = fault
        elif fault is not None:
            self._tell(active, News.FAILED, fault)
        elif self._now_s - active.since_s >= self.limits.stable_s:
            active.failures = 0

    def _prove(self) -> None:
        """Let the probed broker replace the active one, or give it up."""
        active, probed = self._first(LISTENED_TO), self._first({Standing.PROBED})
        if active is None or probed is None:
            return
        doubted = active.standing is Standing.DOUBTED
        if not doubted and probed.rank > active.rank:
            self._tell(probed, News.NOT_NEEDED, "the active one recovered")
        elif self._can_replace(probed, active, doubted):
            reason = active.reason if doubted else "fail-back"
            hole = not self._shown(active).ready or self._fault(active) == "silent"
            self._tell(active, News.RELIEVED, reason)
            self._tell(probed, News.PROVED, reason)
            self._switch(active, probed, reason, hole=hole)
        elif self._is_hopeless(probed):
            self._tell(probed, News.FAILED, self._fault(probed) or "did not prove itself")

    def _can_replace(self, probed: _Candidate, active: _Candidate, doubted: bool) -> bool:
        """Ready now for one that fails; for one that works, faultless for ``stable_s``."""
        run, heard_s = probed.run, self._shown(probed).heard_s
        if run is None or run.ready_since_s is None:
            return False
        ready_s = self._now_s - run.ready_since_s
        if doubted and active.reason != "silent":
            return ready_s >= self.limits.settle_s or not self._shown(active).ready
        if self._open_since_s is not None and (heard_s is None or heard_s < run.since_s):
            return False
        if doubted:
            return (heard_s or 0.0) > (self._shown(active).heard_s or 0.0)
        return ready_s >= self.limits.stable_s and self._fault(probed) is None

    def _is_hopeless(self, probed: _Candidate) -> bool:
        run_s = self._now_s - probed.since_s
        if not self._shown(probed).ready:
            return run_s >= self.limits.prove_s
        return run_s >= self.limits.prove_s + 2 * self.limits.stable_s

    def _choose(self) -> None:
        """Probe another: any for a doubted one, a better one for one that is stable."""
        active = self._first(LISTENED_TO)
        if active is None or self._first({Standing.PROBED}) is not None:
            return
        doubted = active.standing is Standing.DOUBTED
        if not doubted and self._now_s - active.since_s < self.limits.stable_s:
            return
        idle = self._first({Standing.IDLE})
        if idle is not None and (doubted or idle.rank < active.rank):
            self._tell(idle, News.CHOSEN, active.reason if doubted else "fail-back")

    # -- its parts

    def _first(self, standings: Iterable[Standing]) -> _Candidate | None:
        return next((one for one in self._all if one.standing in standings), None)

    def _shown(self, one: _Candidate) -> Seen:
        return self._seen.get(one.name, _NOTHING)

    def _fault(self, one: _Candidate) -> str | None:
        """The first of ``FAULTS`` that a running broker has."""
        if one.run is None:
            return None
        at = _Situation(one.run, self._shown(one), self._now_s, self._open_since_s, self.limits)
        return next((name for name, has in FAULTS.items() if has(at)), None)

    def _tell(self, one: _Candidate, news: News, reason: str) -> None:
        """Move a broker on by the table."""
        one.standing = BECOMES[one.standing, news]
        one.since_s, one.reason = self._now_s, reason
        if one.standing not in RUNNING:
            one.run = None
        elif one.run is None:
            seen = self._seen.get(one.name)
            one.run = _Run(self._now_s, None if seen is None else seen.interruptions)
        if one.standing is Standing.RESTING:
            rest_s = self.limits.rest_s * 2.0 ** min(one.failures, 32)
            one.failures += 1
            one.rest_until_s = self._now_s + min(rest_s, self.limits.longest_rest_s)

    def _switch(
        self, source: _Candidate | None, target: _Candidate | None, reason: str, *, hole: bool
    ) -> None:
        switch = Switch(self._now_s, _name(source), _name(target), reason, hole)
        self.switches.append(switch)
        self.switched += 1


def _name(one: _Candidate | None) -> str | None:
    return None if one is None else one.name
