"""Clients of a real server that never read what they are sent."""

from __future__ import annotations

import socket

from tests.support.processes import Server

UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


def never_reading(server: Server, path: str, headers: str) -> socket.socket:
    """A connection that has got an answer to its request, and reads no further."""
    client = socket.create_connection(("127.0.0.1", server.port), 20)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n{headers}\r\n"
    client.sendall(request.encode())
    assert client.recv(12) in (b"HTTP/1.1 101", b"HTTP/1.1 200")
    return client
