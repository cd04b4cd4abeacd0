"""Prometheus queries through prometheus-api-client: in a few threads, each bounded as a whole, retried a few times.

"No series" is an empty tuple and NaN is kept: what they mean is the gates' business. The token is in no error and no `repr`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from integrations.http_calls import Limits, garbage, retrying, status_error
from runbook.errors import ForgeError, Permanent, Temporary
from runbook.ports import Sample, Series

if TYPE_CHECKING:
    from prometheus_api_client import PrometheusConnect

    from integrations.prometheus.bounded_session import Refused

SYSTEM = "prometheus"
_LARGEST_BODY = 64 * 1024 * 1024
_LONGEST_WORDS = 500


class PrometheusMetrics:
    """Fulfils `runbook.ports.Metrics` for one Prometheus, or whatever speaks its query API (Thanos, Mimir)."""

    def __init__(
        self,
        url: str,
        token: Callable[[], str] | None = None,
        *,
        limits: Limits | None = None,
        threads: int = 4,
    ) -> None:
        """token: gives a bearer token, asked at each call. threads: queries at once; others wait within their time-out."""
        self._url = url.rstrip("/")
        self._token = token
        self._limits = limits or Limits()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="prometheus")
        self._connection: PrometheusConnect | None = None
        self._opening = asyncio.Lock()

    async def aclose(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._connection is not None:
            self._connection.close()

    async def query(self, expression: str, at: datetime | None = None) -> tuple[Series, ...]:
        """See the port. at: aware; None for Prometheus' own now.

        Raises Permanent for an expression that Prometheus refuses (400) and for garbage, else Temporary.
        """
        parameters = {} if at is None else {"time": f"{at.timestamp():.3f}"}
        return await self._asked(lambda connection: connection.custom_query(expression, params=parameters))

    async def query_range(self, expression: str, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...]:
        """See the port; both ends are included. Prometheus refuses more than 11,000 points of a series."""
        # The library rounds both ends to seconds; the parameters come last and set it right.
        exact = {"start": f"{start.timestamp():.3f}", "end": f"{end.timestamp():.3f}"}
        return await self._asked(
            lambda connection: connection.custom_query_range(expression, start, end, f"{step_s:g}", params=exact)
        )

    async def _asked(self, ask: Callable[[PrometheusConnect], Any]) -> tuple[Series, ...]:
        async def attempt() -> tuple[Series, ...]:
            connection = await self._open()
            work = asyncio.get_running_loop().run_in_executor(self._pool, lambda: self._ask(connection, ask))
            try:
                return await asyncio.wait_for(work, self._limits.timeout_s)
            except TimeoutError as error:
                raise self._slow() from error

        return await retrying("prometheus query", self._limits, attempt)

    async def _open(self) -> PrometheusConnect:
        async with self._opening:
            if self._connection is None:
                self._connection = await asyncio.to_thread(self._connect)
            return self._connection

    def _connect(self) -> PrometheusConnect:
        from prometheus_api_client import PrometheusConnect
        from urllib3.util.retry import Retry

        from integrations.prometheus.bounded_session import BoundedSession

        # read=False: a read that times out stays one; urllib3 would call it a connection that used up its retries.
        session = BoundedSession(self._limits.timeout_s, _LARGEST_BODY)
        return PrometheusConnect(self._url, session=session, retry=Retry(total=0, read=False), auth=self._authorize)

    def _authorize(self, request: Any) -> Any:
        """Called by requests for each request, so that a rotated token counts at once."""
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token()}"
        return request

    # --- in a thread ------------------------------------------------------------------------------------------------

    def _ask(self, connection: PrometheusConnect, ask: Callable[[PrometheusConnect], Any]) -> tuple[Series, ...]:
        import requests

        from integrations.prometheus.bounded_session import Refused, TooLarge, TooSlow

        try:
            return series_of(ask(connection))
        except Refused as refused:
            raise self._refused(refused) from None
        except (TooSlow, requests.exceptions.Timeout):
            raise self._slow() from None
        except TooLarge:
            raise Permanent(
                SYSTEM, "too_large", f"{self._where} answered with more than {_LARGEST_BODY} bytes"
            ) from None
        except (requests.exceptions.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError, IndexError):
            raise garbage(SYSTEM, self._where, "query result") from None
        except requests.exceptions.SSLError:
            remedy = "Check the address, or give forge the certificate authority that signed it"
            raise Permanent(SYSTEM, "tls", f"{self._where} shows a certificate that can't be trusted", remedy) from None
        except (requests.exceptions.RequestException, OSError, _urllib3_errors()):
            # Not quoted: urllib3's words hold the whole address with the query.
            raise Temporary(SYSTEM, "unreachable", f"{self._where} can't be reached, or broke the connection") from None

    def _slow(self) -> Temporary:
        return Temporary(SYSTEM, "timeout", f"{self._where} gave no answer within {self._limits.timeout_s:g} s")

    def _refused(self, refused: Refused) -> ForgeError:
        words = _words(refused.body)
        cause = f"{self._where} answered {refused.status}" + (f": {words}" if words else "")
        if refused.status == 422:  # the expression could be read, but not be executed this time
            return Temporary(SYSTEM, "execution", cause, "Try the expression in Prometheus' own page")
        remedies = {
            400: "Correct the expression, or try it in Prometheus' own page",
            401: "Renew the token in PROMETHEUS_TOKEN: Prometheus doesn't accept it",
            403: "Give the account behind PROMETHEUS_TOKEN the right to query",
            404: "Check the address: it ends where /api/v1/query begins",
        }
        return status_error(SYSTEM, refused.status, cause, remedies.get(refused.status, ""), refused.headers)

    @property
    def _where(self) -> str:
        return f"Prometheus ({urlsplit(self._url).hostname})"


def _urllib3_errors() -> type[Exception]:
    """What a body that breaks off raises: it is read past requests, which would have translated it."""
    from urllib3.exceptions import HTTPError

    return HTTPError


def _words(body: bytes) -> str:
    """Prometheus' own message of an error's answer, bounded; empty where there is none."""
    try:
        answer = json.loads(body)
        return str(answer.get("error") or "")[:_LONGEST_WORDS]
    except (ValueError, AttributeError):
        return ""


def series_of(result: Any) -> tuple[Series, ...]:
    """The `result` of a query: a vector, a matrix, or a scalar (a series without labels).

    Raises KeyError, TypeError or ValueError for another form, a string and native histograms among them.
    """
    if not isinstance(result, list):
        raise TypeError("no list")
    moments: dict[float, datetime] = {}
    if len(result) == 2 and not isinstance(result[0], dict):
        return (Series({}, (_sample(result, moments),)),)
    return tuple(_series(entry, moments) for entry in result)


def _series(entry: Any, moments: dict[float, datetime]) -> Series:
    points = entry["values"] if "values" in entry else [entry["value"]]
    return Series(dict(entry["metric"]), tuple([_sample(point, moments) for point in points]))


def _sample(point: Any, moments: dict[float, datetime]) -> Sample:
    """moments: those that the answer has named so far; a thousand series name the same few."""
    seconds, value = point
    at = moments.get(seconds)
    if at is None:
        at = moments[seconds] = datetime.fromtimestamp(seconds, UTC)
    return Sample(at, float(value))
