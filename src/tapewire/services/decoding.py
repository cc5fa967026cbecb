"""What is in a batch: decoded by whoever knows its stream's wire format.

Ticks of all brokers travel in one form; whatever else there is came as Massive's JSON.
"""

from tapewire.model.batch import Batch
from tapewire.model.streams import Stream
from tapewire.providers import tick_wire
from tapewire.providers.decoded import Decoded
from tapewire.providers.massive import protocol as massive


def decode(batch: Batch) -> Decoded:
    """Events of a batch, and what could not be read; never raises."""
    if batch.stream is Stream.TICKS:
        return tick_wire.decode(batch)
    return massive.decode(batch)
