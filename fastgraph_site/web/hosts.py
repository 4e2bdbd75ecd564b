"""Which host a request names: in its Host header, in its Origin, or in its target."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from django.http.request import split_domain_port

from runs.errors import Problem

DEFAULT_PORTS = {"http": "80", "ws": "80", "https": "443", "wss": "443"}


def host_of(url: str) -> str:
    """`host:port` of an absolute URL or an Origin; nothing for `null` and what makes no sense."""
    try:
        parts = urlsplit(url.lower())
    except ValueError:
        return ""
    return with_port(parts.netloc, parts.scheme) if parts.netloc else ""


def with_port(host: str, scheme: str) -> str:
    """`host:port` of a Host header, in which the port of `scheme` may be missing."""
    domain, port = split_domain_port(host.lower())
    return f"{domain}:{port or DEFAULT_PORTS.get(scheme, '')}"


def refused_target(target: str, hosts: Sequence[str], scheme: str) -> Problem | None:
    """Why a request for `target` is refused whose Host headers are `hosts`; None when it is not.

    A target may be a whole URL, as a proxy is sent (RFC 9112, 3.2.2). It must name the one host
    that the Host header names, which is then checked for both.
    """
    if not target or target[0] in "/*":
        return None
    if len(hosts) == 1 and host_of(target) == with_port(hosts[0], scheme):
        return None
    detail = (
        "The target of the request names another host than its Host header. Give the path alone."
    )
    return Problem(400, "host_not_allowed", detail)
