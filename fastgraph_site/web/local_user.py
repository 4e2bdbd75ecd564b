"""Until logins exist: whoever reaches this machine's loopback address is the local user.

That user may do everything, so the door is narrow: the server must be bound to loopback, the
request must come from it, and no proxy may stand between, for a proxy brings strangers in from
there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from typing import cast

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest, HttpResponseBase
from django.utils.functional import SimpleLazyObject

from fastgraph_site.web.forwarding import is_forwarding
from runs.errors import Problem
from runs.http.problems import refuse

USERNAME = "local"


class LocalUserMiddleware:
    """Gives each request without a login the local user, made on first need; refuses (403) what
    does not come from this machine. Stands after AuthenticationMiddleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if why := why_not_local(request):
            return refuse(request, Problem(403, "not_local", why))
        # Lazy twice: a request that does not ask who is there costs no query.
        request.user = cast(User, SimpleLazyObject(partial(user_of, request.user)))
        return self.get_response(request)


def why_not_local(request: HttpRequest) -> str:
    """A sentence that says why this request is not the local user's; empty when it is."""
    if not is_loopback(settings.HOST):
        return (
            f"This server is bound to {settings.HOST} and has no logins yet, so it answers nobody."
            " Bind it to 127.0.0.1 (HOST)."
        )
    if not is_loopback(request.META.get("REMOTE_ADDR", "")):
        return "Until logins exist, this server answers its own machine only."
    sent = [name for name in request.headers if is_forwarding(name)]
    if sent:
        return (
            f"This request was forwarded by a proxy ({', '.join(sent)}). Until logins exist, this"
            " server answers its own machine only."
        )
    return ""


def is_loopback(host: str) -> bool:
    """Whether `host` is an address, or the name, of this machine's loopback interface."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def local_user() -> User | AnonymousUser:
    """The local user, a superuser without a usable password. Two requests that need it first at
    once get the same one. An administrator may switch it off (`is_active`)."""
    user, made = User.objects.get_or_create(
        username=USERNAME, defaults={"is_staff": True, "is_superuser": True}
    )
    if made:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    return user if user.is_active else AnonymousUser()


def user_of(logged_in: User | AnonymousUser) -> User | AnonymousUser:
    """Who asks: the one who has logged in, or else the local user."""
    return logged_in if logged_in.is_authenticated else local_user()
