"""What has to be true before a server or a cluster may start, each refusal in one sentence that
says what to do."""

from __future__ import annotations

import errno
import ipaddress
import socket
from contextlib import suppress

from django.core.management.base import CommandError

_BACKLOG = 2048
#: Bytes that the system takes for a client beyond what is on its way to it. Without a limit it
#: takes megabytes for each that does not read, all of which somebody has to read from the database.
_UNSENT = 128 * 1024


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on `host` and `port` (0: any free one). Only loopback addresses are
    accepted."""
    family, address = _resolve(host, port)
    if not ipaddress.ip_address(address[0]).is_loopback:
        raise CommandError(
            f"FastGraph has no logins yet: whoever could reach {host}:{port} could start runs and "
            "read everything. So it serves only this machine: use --host 127.0.0.1 (or ::1, "
            "localhost), and a tunnel (ssh -L) to reach it from elsewhere."
        )
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        with suppress(OSError):  # a kernel without it; on Linux every connection inherits it
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
    try:
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise CommandError(_bind_failure(host, port, error)) from error
    return listener


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    if not 0 <= port <= 65535:
        raise CommandError(f"There is no port {port}: use one from 1 to 65535 with --port or PORT.")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise CommandError(f"The host {host!r} is not known ({error}). Try 127.0.0.1.") from error
    family, _, _, _, address = found[0]
    return family, (str(address[0]), port)


def _bind_failure(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is in use by another program, maybe by a FastGraph that still "
            "runs. Stop that one, or choose another port with --port or PORT."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} needs the rights of root. Choose one above 1023 with --port or PORT."
    return f"{host}:{port} cannot be bound: {error}. Choose others with --host and --port."
