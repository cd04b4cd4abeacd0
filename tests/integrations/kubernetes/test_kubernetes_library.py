"""The Kubernetes client is loaded without its models, and is whole for whoever wants them."""

from __future__ import annotations

import subprocess
import sys

COUNT = "sum(name.startswith('kubernetes_asyncio.client.models.') for name in sys.modules)"


def said_by(program: str) -> list[str]:
    """What it prints in an interpreter of its own: what is imported is a matter of the whole process."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_asking_a_cluster_loads_no_models() -> None:
    program = f"""
import asyncio, sys
from integrations.http_calls import Limits
from integrations.kubernetes import Direct, KubernetesCluster
from integrations.kubernetes.restore_objects import _api
from runbook.errors import ForgeError

async def main():
    cluster = KubernetesCluster(Direct("http://127.0.0.1:9", lambda: "token"), "shop", limits=Limits(attempts=1))
    try:
        await cluster.deployment("cart")
    except ForgeError as error:
        print(error.code)
    client = await cluster._calls._open()
    print(*(type(_api(client, version)).__name__ for version in ("v1", "apps/v1", "networking.k8s.io/v1")))
    await cluster.aclose()
    print({COUNT}, "kubernetes_asyncio.client" in sys.modules)

asyncio.run(main())
"""
    found = said_by(program)
    assert found == ["kubernetes.unreachable", "CoreV1Api", "AppsV1Api", "NetworkingV1Api", "0", "True"]


def test_every_home_is_where_the_package_itself_finds_the_class() -> None:
    program = """
import importlib, kubernetes_asyncio.client as whole
from integrations.kubernetes.library import HOMES, load
load()
print(all(getattr(importlib.import_module(home), name) is getattr(whole, name) for name, home in HOMES.items()))
"""
    assert said_by(program) == ["True"]


def test_the_classes_are_the_same_before_and_after_all_of_the_package_is_wanted() -> None:
    program = f"""
import sys
from integrations.kubernetes.library import load
load()
from kubernetes_asyncio.client import ApiClient, AppsV1Api
print({COUNT})
from kubernetes_asyncio.client import V1Deployment
from kubernetes_asyncio import client, watch
print({COUNT} > 500, client.ApiClient is ApiClient, client.AppsV1Api is AppsV1Api, client.__version__ != "")
print(client.models.V1Deployment is V1Deployment)
print(client.models.V1Pod.__name__, client.rest.RESTClientObject.__name__, watch.Watch.__name__)
"""
    wanted = ["0", "True", "True", "True", "True", "True", "V1Pod", "RESTClientObject", "Watch"]
    assert said_by(program) == wanted


def test_what_the_package_has_not_got_is_missed_as_usual() -> None:
    program = """
from integrations.kubernetes.library import load
load()
import kubernetes_asyncio.client
print(hasattr(kubernetes_asyncio.client, "__all__"), hasattr(kubernetes_asyncio.client, "V1Nonsense"))
try:
    from kubernetes_asyncio import nonsense
except ImportError as error:
    print(type(error).__name__)
"""
    assert said_by(program) == ["False", "False", "ImportError"]


def test_a_package_that_somebody_has_imported_is_left_as_it_is() -> None:
    program = """
import kubernetes_asyncio
before = kubernetes_asyncio.client, kubernetes_asyncio.client.models
from integrations.kubernetes.library import load
load()
print((kubernetes_asyncio.client, kubernetes_asyncio.client.models) == before, hasattr(kubernetes_asyncio, "__getattr__"))
"""
    assert said_by(program) == ["True", "False"]
