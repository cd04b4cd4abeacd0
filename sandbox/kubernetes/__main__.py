"""`python -m sandbox.kubernetes`: the stand-in alone, for use by hand with kubectl."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from sandbox.kubernetes.local import LocalKubernetes


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, help="0 takes a free one.", show_default=True)
@click.option("--time-scale", default=1.0, show_default=True, help="Real seconds per simulated second.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), default=Path("kubeconfig.sandbox"), show_default=True)
def main(host: str, port: int, time_scale: float, kubeconfig: Path) -> None:
    """Serve a Kubernetes API until Ctrl-C."""
    try:
        asyncio.run(_serve(host, port, time_scale, kubeconfig))
    except KeyboardInterrupt:
        click.echo("stopped")


async def _serve(host: str, port: int, time_scale: float, kubeconfig: Path) -> None:
    kubernetes = LocalKubernetes(time_scale=time_scale)
    url = await kubernetes.start(host, port)
    try:
        path = kubernetes.kubeconfig(kubeconfig)
        click.echo(f"Kubernetes API at {url}\nexport KUBECONFIG={path.resolve()}")
        await asyncio.Event().wait()
    finally:
        await kubernetes.stop()


if __name__ == "__main__":
    main()
