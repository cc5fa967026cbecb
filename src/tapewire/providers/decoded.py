"""What decoding a batch gives, whichever provider it is from."""

from collections.abc import Mapping
from typing import NamedTuple

from tapewire.model.events import Event


class Decoded(NamedTuple):
    """Events of a batch in order, and how many were left out, by reason.

    ``len(events) + sum(skipped.values())`` is the batch's ``count``.
    """

    events: list[Event]
    skipped: Mapping[str, int]
