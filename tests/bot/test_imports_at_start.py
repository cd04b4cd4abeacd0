"""What only a deployment, a picture or a backup needs is not loaded by a bot that has just started: idle memory is mostly modules."""

from __future__ import annotations

import subprocess
import sys

SELDOM = (
    "kubernetes_asyncio", "prometheus_api_client", "requests", "pandas", "numpy", "matplotlib", "PIL", "obstore", "pyrage",
    "psycopg", "pglast", "dateparser", "sandbox", "tests",
)  # fmt: skip


def test_a_bot_starts_without_what_only_its_commands_need() -> None:
    program = f"import sys, bot.serve; print(sorted(set({SELDOM}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
