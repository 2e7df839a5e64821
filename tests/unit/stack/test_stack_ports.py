import socket

import pytest

from stack.ports import HOST, free_ports, is_free


def test_a_port_somebody_listens_on_is_not_free() -> None:
    with socket.create_server((HOST, 0)) as server:
        assert not is_free(server.getsockname()[1])


def test_a_port_is_free_again_when_its_server_is_gone() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        # A connection that the server closes first keeps the port in TIME_WAIT: no reason not to listen on it.
        with socket.create_connection((HOST, port)) as client:
            server.accept()[0].close()
            client.recv(1)
    assert is_free(port)


def test_ports_are_distinct_free_and_none_of_the_taken() -> None:
    first = free_ports(50)
    second = free_ports(50, taken=frozenset(first))

    assert len(set(first) | set(second)) == 100
    assert all(map(is_free, first + second))


def test_ports_are_not_those_given_to_outgoing_connections() -> None:
    assert all(port < 32_768 for port in free_ports(50))


def test_it_says_so_when_there_is_no_port() -> None:
    with pytest.raises(RuntimeError, match="no 1 free ports"):
        free_ports(1, taken=frozenset(range(65_536)))


def test_no_port_is_given_out_twice_though_nobody_listens_yet() -> None:
    groups = [free_ports(50) for _ in range(10)]

    assert len({port for group in groups for port in group}) == 500
