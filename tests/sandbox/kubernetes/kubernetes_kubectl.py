"""Running the real kubectl in tests."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

KUBECTL = Path(sys.executable).with_name("kubectl")


@dataclass(frozen=True)
class Output:
    code: int
    text: str
    errors: str


class Kubectl:
    """The real kubectl against the stand-in, its caches in the test's own folder."""

    def __init__(self, kubeconfig: Path) -> None:
        home = kubeconfig.parent
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(home), "NO_PROXY": "127.0.0.1"}

    async def __call__(self, *arguments: str, stdin: str = "") -> Output:
        """Run to the end; the exit code is part of the answer."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            str(KUBECTL), *arguments, stdin=pipe, stdout=pipe, stderr=pipe, env=self._environment
        )
        try:
            async with asyncio.timeout(60):
                out, err = await process.communicate(stdin.encode())
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        return Output(process.returncode or 0, out.decode(), err.decode())

    async def ok(self, *arguments: str, stdin: str = "") -> str:
        output = await self(*arguments, stdin=stdin)
        assert output.code == 0, output
        return output.text
