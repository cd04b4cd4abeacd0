"""kubernetes_asyncio without its models: only the classes of the APIs that are called.

Imported as usual the package loads a thousand modules, 40 MB, for models that forge never makes: it sends and reads plain JSON. What
else somebody wants of it is there all the same; the first such wish imports the rest as usual.
"""

from __future__ import annotations

import sys
import threading
from functools import partial
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

PACKAGE = "kubernetes_asyncio"
CLIENT = f"{PACKAGE}.client"
HOMES = {
    "ApiClient": f"{CLIENT}.api_client",
    "Configuration": f"{CLIENT}.configuration",
    "AppsV1Api": f"{CLIENT}.api.apps_v1_api",
    "AuthorizationV1Api": f"{CLIENT}.api.authorization_v1_api",
    "AutoscalingV2Api": f"{CLIENT}.api.autoscaling_v2_api",
    "BatchV1Api": f"{CLIENT}.api.batch_v1_api",
    "CoreV1Api": f"{CLIENT}.api.core_v1_api",
    "CustomObjectsApi": f"{CLIENT}.api.custom_objects_api",
    "NetworkingV1Api": f"{CLIENT}.api.networking_v1_api",
}
"""What `kubernetes_asyncio.client` is asked for, and the module that defines it."""

_SELDOM = "NetworkingV1Api"
_loading = threading.Lock()
_completing = threading.RLock()


def load() -> None:
    """Makes `kubernetes_asyncio` importable at little cost, and loads what nearly every use of a cluster needs. Blocks: for a thread.

    Where the package was imported before, by whomever, it is left as it is.
    """
    with _loading:
        if PACKAGE not in sys.modules:
            _stand_in()
    for name, home in HOMES.items():
        if name != _SELDOM:
            import_module(home)
    import_module(f"{PACKAGE}.config")


def _stand_in() -> None:
    """The packages whose `__init__` imports everything are there, with their submodules, but that is not run."""
    package = _bare(PACKAGE)
    package.client = client = _bare(CLIENT, package)  # type: ignore[attr-defined]
    client.api = _bare(f"{CLIENT}.api", client)  # type: ignore[attr-defined]
    client.models = _bare(f"{CLIENT}.models", client)  # type: ignore[attr-defined]


def _bare(name: str, parent: ModuleType | None = None) -> ModuleType:
    """Raises ModuleNotFoundError."""
    spec = PathFinder.find_spec(name, parent.__path__ if parent is not None else None)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    module = module_from_spec(spec)
    module.__getattr__ = partial(_find, module, spec.loader)  # type: ignore[method-assign]
    sys.modules[name] = module
    return module


def _find(module: ModuleType, loader: Loader, name: str) -> Any:
    """What the module has not got yet: a module's own `__getattr__`, see PEP 562."""
    if module.__name__ == CLIENT and name in HOMES:
        return getattr(import_module(HOMES[name]), name)
    if name.startswith("__"):  # Python's own questions, such as for `__all__`, are no wish for the rest
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
    submodule = f"{module.__name__}.{name}"
    if find_spec(submodule) is not None:
        return import_module(submodule)
    _complete(module, loader)
    return getattr(module, name)


def _complete(module: ModuleType, loader: Loader) -> None:
    """Runs its `__init__` after all; from then on it is as any other."""
    with _completing:
        if module.__dict__.pop("__getattr__", None) is not None:
            loader.exec_module(module)
