"""Which headers say that a proxy stands between the client and this server."""

from __future__ import annotations

#: Names in lower case; `*` stands for any text, at the beginning, at the end, or both.
#: Programs and browsers that ask a server directly send none of these, but for `EXCEPTIONS`.
TABLE = {
    "standards": (
        "forwarded", "via", "early-data", "client-cert", "client-cert-chain", "surrogate-*",
        # Clients write some of these themselves, but only to a proxy.
        "proxy-*",
    ),
    "who the client was": (
        "*-ip", "*-ip-*", "*-ipv4", "*-ipv6", "*clientip*", "*realip*", "*socketip*",
        "*remote-addr*", "*remote-user*", "client", "remote-*", "x-client", "x-client-cert*",
        "x-coming-from", "x-real-*", "x-remote-*",
    ),
    "what the client asked for": (
        "*forwarded*", "front-end-*", "x-forward*", "x-host", "x-original-*", "x-rewrite-url",
        "x-scheme", "x-ssl-*", "x-url-scheme",
    ),
    "proxies and load balancers": (
        "*-via", "wl-proxy-*", "x-bluecoat-*", "x-envoy-*", "x-haproxy-*", "x-kong-*", "x-lb-*",
        "x-nginx-*", "x-proxy*", "x-squid-*", "x-traefik-*", "x-varnish*",
    ),
    "proxies with logins": (
        "x-auth-request-*", "x-authentik-*", "x-goog-authenticated-*", "x-goog-iap-*",
        "x-ms-client-principal*", "x-pomerium-*", "x-webauth-*",
    ),
    "clouds": (
        "cloudfront-*", "disguised-host", "do-connecting-*", "fly-*", "was-default-hostname",
        "x-amz-cf-*", "x-amzn-*", "x-appengine-*", "x-appgw-*", "x-arr-*", "x-azure-*",
        "x-fd-*", "x-nf-*", "x-railway-*", "x-vercel-*", "x-waws-*",
    ),
    "content networks": (
        "akamai-*", "ali-cdn-*", "cdn-*", "cf-*", "fastly-*", "incap-*", "x-akamai-*", "x-cdn*",
        "x-fastly-*", "x-sucuri-*",
    ),
    "tunnels": ("ngrok-*", "tailscale-*", "x-ngrok-*"),
}  # fmt: skip
#: Tracing libraries put it on the requests of clients (AWS X-Ray's SDK, OpenTelemetry's propagator
#: for X-Ray), as they do Google's `x-cloud-trace-context`: neither says that there is a proxy.
EXCEPTIONS = frozenset({"x-amzn-trace-id"})

_NAMES = [name for names in TABLE.values() for name in names]
_WHOLE = frozenset(name for name in _NAMES if "*" not in name)
_BEGINNINGS = tuple(name[:-1] for name in _NAMES if name.endswith("*") and name[0] != "*")
_ENDINGS = tuple(name[1:] for name in _NAMES if name.startswith("*") and name[-1] != "*")
_PARTS = tuple(name[1:-1] for name in _NAMES if name.startswith("*") and name[-1] == "*")


def is_forwarding(name: str) -> bool:
    """Whether a header of this name, in any case, comes from a proxy and not from a client of this
    machine."""
    name = name.lower().replace("_", "-")
    return name not in EXCEPTIONS and (
        name in _WHOLE
        or name.startswith(_BEGINNINGS)
        or name.endswith(_ENDINGS)
        or any(part in name for part in _PARTS)
    )
