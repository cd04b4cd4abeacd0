"""From what a plan says of a request to what is sent."""

from __future__ import annotations

from runbook.policy import HealthPaths, SmokeRequest
from runbook.ports import HttpRequest

HEALTHY = (200, 204)
"""A redirect leads elsewhere, and says nothing of this service."""


def url_of(base_url: str, path: str) -> str:
    return f"{base_url.rstrip('/')}/{path.lstrip('/')}"


def http_request(service: str, base_url: str, request: SmokeRequest) -> HttpRequest:
    return HttpRequest(
        url=url_of(base_url, request.path),
        method=request.method,
        headers=request.headers,
        json=request.body,
        service=service,
        token=request.token,
        timeout_s=request.timeout_s,
    )


def health_requests(health: HealthPaths, timeout_s: float) -> tuple[SmokeRequest, ...]:
    """Runbook: Required Endpoints. Startup "if supported": a service without it answers 404."""
    requests = [
        SmokeRequest(name="liveness", path=health.live, statuses=HEALTHY, timeout_s=timeout_s),
        SmokeRequest(name="readiness", path=health.ready, statuses=HEALTHY, timeout_s=timeout_s),
    ]
    if health.startup:
        requests.append(
            SmokeRequest(name="startup", path=health.startup, statuses=HEALTHY, timeout_s=timeout_s, optional=True)
        )
    return tuple(requests)
