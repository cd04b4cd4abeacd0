"""Certificates that nobody trusts: refused by every client, and told with the remedy."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from integrations.http_calls import HttpCalls, Limits
from integrations.http_probes import AiohttpProbes
from integrations.kubernetes import Direct, KubernetesCluster
from integrations.prometheus import PrometheusMetrics
from runbook.errors import Permanent
from runbook.ports import HttpRequest

LIMITS = Limits(timeout_s=60.0, attempts=1)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path = tmp_path / "server.pem"
    path.write_bytes(made.public_bytes(encoding) + key.private_bytes(encoding, private, serialization.NoEncryption()))
    return path


@pytest.fixture
async def url(certificate: Path) -> AsyncIterator[str]:
    async def missing(_: web.Request) -> web.Response:
        return web.json_response({"kind": "Status", "message": "not here"}, status=404)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", missing)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_http_calls_refuse_it(url: str) -> None:
    calls = HttpCalls("thing", LIMITS)
    with pytest.raises(Permanent) as caught:
        await calls.ask("GET", url)
    await calls.aclose()
    assert caught.value.code == "thing.tls"
    assert "certificate authority" in caught.value.remedy


async def test_prometheus_refuses_it(url: str) -> None:
    metrics = PrometheusMetrics(url, limits=LIMITS)
    with pytest.raises(Permanent) as caught:
        await metrics.query("up")
    await metrics.aclose()
    assert caught.value.code == "prometheus.tls"


async def test_probes_answer_with_it(url: str) -> None:
    probes = AiohttpProbes(lambda service, name: "")
    answer = await probes.send(HttpRequest(url))
    await probes.aclose()
    assert answer.status is None
    assert answer.error.startswith("TLS failed")


async def test_kubernetes_refuses_it_unless_its_authority_is_configured(url: str, certificate: Path) -> None:
    cluster = KubernetesCluster(Direct(url), "dev", limits=LIMITS)
    with pytest.raises(Permanent) as caught:
        await cluster.deployment("web")
    await cluster.aclose()
    assert caught.value.code == "kubernetes.tls"

    trusting = KubernetesCluster(Direct(url, ca_file=certificate), "dev", limits=LIMITS)
    assert await trusting.deployment("web") is None
    await trusting.aclose()


async def test_a_certificate_authority_that_is_not_there_is_named(url: str, tmp_path: Path) -> None:
    cluster = KubernetesCluster(Direct(url, ca_file=tmp_path / "none.pem"), "dev", limits=LIMITS)
    with pytest.raises(Permanent) as caught:
        await cluster.deployment("web")
    await cluster.aclose()
    assert caught.value.code == "kubernetes.credentials"
