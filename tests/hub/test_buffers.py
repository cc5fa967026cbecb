"""Every buffer is written down where people read about it."""

from tapewire.hub.buffers import BUFFERS, Policy
from tests.conftest import PROJECT


def test_the_essay_lists_every_buffer_with_its_policy_and_counter() -> None:
    text = (PROJECT / "docs" / "topics" / "slow-clients.md").read_text("utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    for buffer in BUFFERS:
        [line] = [line for line in lines if line.startswith(f"| {buffer.name} |")]
        assert f"`{buffer.policy}`" in line
        assert f"`{buffer.counter}`" in line
    assert {buffer.policy for buffer in BUFFERS} == set(Policy)
