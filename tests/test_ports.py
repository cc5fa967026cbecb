"""The tests' ports are free, come once, and lie where nobody is given one by chance."""

import socket
from itertools import islice

from tests.ports import LOWEST_PORT, PORTS_OF_A_PROCESS, is_unused, unused_ports


def test_two_workers_never_get_the_same_port() -> None:
    one, two = (set(islice(unused_ports(worker), 50)) for worker in ("gw0", "gw1"))
    assert len(one) == len(two) == 50
    assert not one & two


def test_ports_lie_below_those_of_connections() -> None:
    highest = LOWEST_PORT + 5 * PORTS_OF_A_PROCESS
    assert highest <= 32_768
    assert all(LOWEST_PORT <= port < highest for port in islice(unused_ports("gw7"), 50))


def test_a_port_that_somebody_listens_on_is_not_unused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert not is_unused(taken.getsockname()[1])
