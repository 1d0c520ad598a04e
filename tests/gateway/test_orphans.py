"""Which pods still work for a HAProxy that has ended."""

from __future__ import annotations

import socket

from tidegate.gateway.model import PodServer
from tidegate.gateway.orphans import at_work, orphaned_ports, parse_table

_TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0
   1: 0100007F:1F91 0100007F:C001 08 00000000:00000001 00:00000000 00000000     0        0 2 1 0
   2: 0100007F:1F92 0100007F:C002 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0
"""


def test_only_connections_whose_other_end_has_gone_count() -> None:
    assert set(parse_table(_TABLE)) == {0x1F91}


def test_a_socket_is_seen_until_its_owner_closes_it() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = listener.accept()
        assert port not in orphaned_ports()
        client.close()
        assert port in orphaned_ports()
        accepted.close()
        assert port not in orphaned_ports()


def test_pods_elsewhere_are_not_judged_by_the_sockets_here() -> None:
    servers = [
        PodServer("here", "127.0.0.1", 8081, True),
        PodServer("idle", "127.0.0.1", 8082, True),
        PodServer("there", "10.1.2.3", 8081, True),
    ]
    assert at_work(servers, frozenset({8081})) == {"here": 8081}
