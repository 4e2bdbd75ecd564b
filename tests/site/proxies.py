"""Headers that proxies, tunnels and content networks add, and some that clients send themselves."""

FORWARDING = [
    "Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
    "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded", "Forwarded-For", "X-Real-IP",
    "X-Real-Port", "X-Client-IP", "Client-IP", "True-Client-IP", "X-True-Client-IP",
    "X-Cluster-Client-IP", "Proxy-Client-IP", "WL-Proxy-Client-IP", "CF-Connecting-IP",
    "CF-Connecting-IPv6", "CF-Ray", "CDN-Loop", "Fastly-Client-IP", "Fly-Client-IP",
    "Fly-Forwarded-Port", "DO-Connecting-IP", "Ali-CDN-Real-IP", "X-Azure-ClientIP",
    "X-Azure-SocketIP", "X-Appengine-User-IP", "X-Envoy-External-Address",
    "X-Vercel-Forwarded-For", "X-NF-Client-Connection-IP", "X-Original-Forwarded-For",
    "X-Original-Host", "X-Original-URL", "X-Rewrite-URL", "X-ProxyUser-IP", "X-Originating-IP",
    "X-Remote-IP", "X-Remote-Addr", "Remote-User", "X-ARR-ClientIP", "Incap-Client-IP",
    "Tailscale-User-Login", "Ngrok-Auth-User-Email", "X-Amzn-Mtls-Clientcert", "X-Amzn-Oidc-Data",
    "X-Amz-Cf-Id", "X-BlueCoat-Via", "X-Scheme", "X-URL-Scheme",
    "Front-End-Https", "CloudFront-Viewer-Address", "CloudFront-Is-Mobile-Viewer", "X-Varnish",
    "Proxy-Connection", "Proxy-Authorization", "X-Client", "Client", "Pseudo-IP",
    "Cf-Pseudo-IPv4", "X-LB-IP", "X-LB-Port", "X-Backend-IP", "X-Client-Cert",
    "X-SSL-Client-Verify", "X-Forwarder-For", "X-Squid-Error", "X-Auth-Request-Email",
    "X-MS-Client-Principal-Name", "X-Goog-IAP-JWT-Assertion", "Remote-Groups", "Early-Data",
    "Client-Cert", "Surrogate-Capability", "X-FD-HealthProbe",
]  # fmt: skip
#: Of browsers, curl, SDKs and tracing libraries.
OWN = [
    "Accept", "Accept-Language", "Authorization", "Cache-Control", "Cookie", "DNT",
    "Last-Event-ID", "Max-Forwards", "Origin-Agent-Cluster", "Pragma", "Range", "Referer",
    "Sec-Fetch-Mode", "Sec-CH-UA", "Sec-GPC", "Save-Data", "Device-Memory", "Traceparent",
    "Baggage", "X-B3-TraceId", "Upgrade-Insecure-Requests", "User-Agent", "X-Api-Key",
    "X-Auth-Scheme", "X-Client-Info", "X-Client-Version", "X-CSRFToken", "X-HTTP-Method-Override",
    "X-Request-ID", "X-Requested-With", "Idempotency-Key", "Viewport-Width", "Priority", "TE",
    "Mcp-Session-Id", "X-Stainless-Lang", "X-Goog-Api-Client", "X-Amz-Date",
    "X-Amzn-Trace-Id", "X-Cloud-Trace-Context",
]  # fmt: skip
