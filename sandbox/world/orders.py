"""The shop's orders, as its application writes them: into the environment's real database, over a session that comes again after it broke."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import psycopg

from sandbox.shop import OrderLost

PLACE = "INSERT INTO orders (product, quantity, total) VALUES (%s, %s, %s) RETURNING id"
OPTIONS = "-c statement_timeout=3s -c lock_timeout=2s"
CONNECT_WITHIN_S = 3


class OrderBook:
    """url: of an environment's database. One session an environment: the shop is little."""

    def __init__(self, url: Callable[[str], str]) -> None:
        self._url = url
        self._sessions: dict[str, psycopg.AsyncConnection] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    async def place(self, env: str, product: int, quantity: int, total: int) -> int:
        """The order's number. Raises OrderLost: the database isn't there, or doesn't take it."""
        async with self._turns.setdefault(env, asyncio.Lock()):
            try:
                return await self._placed(env, product, quantity, total)
            except psycopg.OperationalError:
                await self._forget(env)  # the session was ended: it may have been an idle one
            try:
                return await self._placed(env, product, quantity, total)
            except psycopg.Error as failed:
                await self._forget(env)
                raise OrderLost(str(failed).strip()) from None

    async def close(self) -> None:
        for env in list(self._sessions):
            await self._forget(env)

    async def _placed(self, env: str, product: int, quantity: int, total: int) -> int:
        session = self._sessions.get(env)
        if session is None:
            session = await psycopg.AsyncConnection.connect(
                self._url(env),
                autocommit=True,
                connect_timeout=CONNECT_WITHIN_S,
                options=OPTIONS,
                application_name="shop",
            )
            self._sessions[env] = session
        try:
            row = await (await session.execute(PLACE, (product, quantity, total))).fetchone()
        except psycopg.OperationalError:
            raise
        except psycopg.Error as refused:
            raise OrderLost(str(refused).strip()) from None
        return int(row[0]) if row else 0

    async def _forget(self, env: str) -> None:
        session = self._sessions.pop(env, None)
        if session is not None:
            with contextlib.suppress(psycopg.Error):
                await session.close()
