"""A small client of the data service: DataFrames out, readings in.

    from oasis_pipeline.client import Client

    with Client("http://localhost:8000", token="oasis-...") as client:
        frame = client.readings(module="34.B2.9F.A9", timestamp__gte="2018-01-01", order_by="timestamp")

Here: requests, retries, and the two forms of data. It stands by itself: nothing of the platform is imported, and pandas,
pyarrow and urllib3 are all that it needs. Not here: what the service does with it (``service``).

Rows come as an Arrow stream. A request that fails for a reason that may pass (no connection, 408, 429, 502, 503, 504) is repeated, later
each time. For readings that is safe even if the service had stored them and only the answer was lost: the same
reading again changes nothing. A reading without a timestamp gets one here, before the first attempt, for the same reason.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import pandas as pd
import pyarrow as pa
import urllib3

__all__ = ["Client", "ClientError", "Posted"]

_PASSING = (408, 429, 502, 503, 504)
_ARROW = "application/vnd.apache.arrow.stream"
_FIXED = ("module", "module_num", "timestamp", "measures", "temperature", "voltage", "description")


class ClientError(RuntimeError):
    """The service refused, or could not be reached.

    Attributes
    ----------
    status : int or None
        Of http; None if there was no answer.
    errors : list of dict
        Faults of items: index, field, reason.
    """

    def __init__(
        self, reason: str, status: int | None = None, errors: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.errors: list[Mapping[str, Any]] = list(errors)


class _BrokenOffError(ClientError):
    """An answer ended before it was whole."""


@dataclass(frozen=True)
class Posted:
    """What became of readings.

    Attributes
    ----------
    received : int
        Sent, and durable now.
    stored : int
        New ones; the others stood there already.
    conflicts : list of int
        Positions of readings under whose module and time something else stands, which was kept.
    """

    received: int = 0
    stored: int = 0
    conflicts: list[int] = field(default_factory=list)


class Client:
    """A connection to a data service; safe for threads.

    Parameters
    ----------
    url : str
        For example ``http://localhost:8000``.
    token : str, optional
        Bearer token.
    username, password : str, optional
        Instead of a token.
    retries : int
        Further attempts of a request that may succeed later.
    timeout_s : float
        For a connection, and between two pieces of an answer.
    """

    def __init__(
        self,
        url: str = "http://localhost:8000",
        *,
        token: str | None = None,
        username: str | None = None,
        password: str | None = None,
        retries: int = 6,
        timeout_s: float = 120.0,
    ) -> None:
        if (token is None) == (username is None):
            raise ValueError("give either token, or username and password")
        self._url = url.rstrip("/")
        self._retries = retries
        basic = base64.b64encode(f"{username}:{password or ''}".encode()).decode()
        self._headers = {"Authorization": f"Bearer {token}" if token is not None else f"Basic {basic}"}
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=min(timeout_s, 10.0), read=timeout_s), retries=False, maxsize=8
        )

    def __repr__(self) -> str:
        """Without token and password."""
        return f"Client({self._url!r})"

    def __enter__(self) -> Client:
        """Use it in a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self.close()

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._pool.clear()

    # ---- reading

    def modules(self, **filters: Any) -> pd.DataFrame:
        """Read modules; see `rows`."""
        return self.rows("module", **filters)

    def readings(self, *, wide: bool = True, **filters: Any) -> pd.DataFrame:
        """Read readings.

        Parameters
        ----------
        wide : bool
            True: a column for each measure; False: one column ``measures`` of dicts.
        **filters
            As of `rows`.

        Returns
        -------
        pandas.DataFrame
            One row a reading; a measure that a reading lacks is NaN.
        """
        frame = self.rows("rawdata", **filters)
        measures = [dict(pairs) if pairs is not None else {} for pairs in frame["measures"]]
        if not wide:
            return frame.assign(measures=pd.Series(measures, index=frame.index, dtype=object))
        names = list(dict.fromkeys(name for row in measures for name in row))
        columns = {name: [row.get(name, math.nan) for row in measures] for name in names}
        spread = pd.DataFrame(columns, index=frame.index, dtype="float64")
        # a measure may have the name of a column
        spread = spread.rename(columns={name: f"measure {name}" for name in names if name in _FIXED})
        return pd.concat([frame.drop(columns="measures"), spread], axis=1)

    def rows(self, resource: str, **filters: Any) -> pd.DataFrame:
        """Read rows of any resource: ``card``, ``carddiag``, ``dynapred``, ``xpred``, ``cardpred``, ``dynalabel``, ...

        Parameters
        ----------
        resource : str
            Last part of its path.
        **filters
            ``field=value``, ``field__gte=value`` (gt, lte, lt, in, range, contains), ``order_by``, ``limit``. Lists and dates are written
            as the service wants them.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ClientError
            If the service refuses.
        """
        frame: pd.DataFrame = self.table(resource, **filters).to_pandas()
        return frame

    def table(self, resource: str, **filters: Any) -> pa.Table:
        """Read rows as an Arrow table; see `rows`. An answer that breaks off is asked for again, whole."""
        for attempt in range(self._retries + 1):
            try:
                batches = list(self.batches(resource, **filters))
            except _BrokenOffError:
                if attempt == self._retries:
                    raise
                self._wait(attempt, None)
            else:
                return pa.Table.from_batches(batches) if batches else pa.table({})
        raise AssertionError("unreachable")

    def batches(self, resource: str, **filters: Any) -> Iterator[pa.RecordBatch]:
        """Read rows batch by batch, for more than memory holds; see `rows`. A stream that breaks off is an error.

        Yields
        ------
        pyarrow.RecordBatch
            The first one may be empty.
        """
        path = f"/api/{quote(resource)}/{_query(filters)}"
        response = self._send("GET", path, headers={"Accept": _ARROW}, stream=True)
        try:
            with pa.ipc.open_stream(response) as reader:
                yield pa.RecordBatch.from_pylist([], schema=reader.schema)
                yield from reader
        except (urllib3.exceptions.HTTPError, pa.ArrowException, OSError) as error:
            raise _BrokenOffError(f"the answer broke off: {error}") from None
        finally:
            response.close()

    def databatch(self, module: str, **options: Any) -> pd.DataFrame:
        """Read features of windows.

        Parameters
        ----------
        module : str
            Module.
        **options
            ``window_size=N`` or ``window="15min"``, ``frequency=True``, and filters as of `rows`.

        Returns
        -------
        pandas.DataFrame
            One row a window: ``module_num``, ``window_size``, ``starting_timestamp``, ``ending_timestamp``, and a column
            ``<measure> <feature>`` for each measure and feature (``VMPPT mean``).
        """
        answer = self._json("GET", f"/api/databatch/{_query({'module_num': module, **options})}")
        rows = []
        for batch in answer:
            row = {
                name: batch[name]
                for name in ("module_num", "window_size", "starting_timestamp", "ending_timestamp")
            }
            for group in ("time_features", "frequency_features"):
                for feature, pairs in (batch.get(group) or {}).items():
                    for pair in pairs:
                        value = math.nan if pair["value"] is None else pair["value"]
                        row[f"{pair['name']} {feature.removeprefix('batch_')}"] = value
            rows.append(row)
        frame = pd.DataFrame(rows)
        for name in ("starting_timestamp", "ending_timestamp"):
            if name in frame:
                frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601")
        return frame

    # ---- writing

    def post_modules(self, modules: pd.DataFrame | Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Store modules: ``module_num``, ``module_type``, ``asset``, ``sensor_type``.

        Returns
        -------
        list of dict
            What stands there now; ``conflict`` is true where it is something else.
        """
        answer: list[dict[str, Any]] = self._json("POST", "/api/module/", _records(modules))
        return answer

    def post_readings(
        self, readings: pd.DataFrame | Iterable[Mapping[str, Any]], *, chunk: int = 5000
    ) -> Posted:
        """Store readings, in requests of some thousands, each repeated until it is stored or refused.

        Parameters
        ----------
        readings : DataFrame or iterable of mapping
            ``module_num`` (or ``module``), ``timestamp``, ``temperature``, ``voltage``, ``description``, and either ``measures`` or, in a
            DataFrame, any other column as a measure of its name; NaN is no measure.
        chunk : int
            Readings a request.

        Returns
        -------
        Posted

        Raises
        ------
        ClientError
            If the service refuses a request: nothing of that one is stored, those before it are. Positions in ``errors`` are of
            all readings.
        """
        items = _readings(readings) if isinstance(readings, pd.DataFrame) else [_plain(r) for r in readings]
        received = stored = 0
        conflicts: list[int] = []
        moment = datetime.now(UTC)
        for index, item in enumerate(items):
            if item.get("timestamp") is None:
                item["timestamp"] = (moment + timedelta(microseconds=index)).isoformat()
        for first in range(0, len(items), chunk):
            part = items[first : first + chunk]
            try:
                answer = self._json("POST", "/api/rawdata/", part, {"Prefer": "return=minimal"})
            except ClientError as error:
                error.errors = [{**fault, "index": fault["index"] + first} for fault in error.errors]
                raise
            received += answer["received"]
            stored += answer["stored"]
            conflicts += [first + index for index in answer["conflicts"]]
        return Posted(received, stored, conflicts)

    def label(self, labels: pd.DataFrame | Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Label cards: ``NodeID``, ``Date``, ``TrueLabel1``, ``TrueLabel2``.

        Returns
        -------
        list of dict
            The labels in force of these cards.
        """
        answer: list[dict[str, Any]] = self._json("POST", "/api/dynalabel/", _records(labels))
        return answer

    def delete(self, resource: str, **filters: Any) -> int:
        """Delete what matches (``module``, ``rawdata``, ``userprofile``); at least one filter is needed.

        Returns
        -------
        int
            Number deleted.
        """
        return int(self._json("DELETE", f"/api/{quote(resource)}/{_query(filters)}")["deleted"])

    # ---- requests

    def _json(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        data = None
        sent = {"Accept": "application/json", **(headers or {})}
        if body is not None:
            data = gzip.compress(json.dumps(body, allow_nan=False).encode(), compresslevel=1)
            sent |= {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        return json.loads(self._send(method, path, data, sent).data)

    def _send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request until it is answered for good."""
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            try:
                response = self._pool.request(
                    method,
                    self._url + path,
                    body=body,
                    headers={**self._headers, **(headers or {})},
                    preload_content=not stream,
                    redirect=False,
                )
            except urllib3.exceptions.HTTPError as error:
                if last:
                    raise ClientError(f"{self._url} does not answer: {error}") from None
                self._wait(attempt, None)
                continue
            if response.status < 300:
                return response
            if response.status not in _PASSING or last:
                raise _refusal(response)
            response.drain_conn()
            self._wait(attempt, response.headers.get("Retry-After"))
        raise AssertionError("unreachable")

    @staticmethod
    def _wait(attempt: int, told: str | None) -> None:
        # spread, so that a hundred gateways don't come back in the same moment
        pause = min(0.2 * 2**attempt, 20.0) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret
        time.sleep(max(pause, float(told) if told and told.isdigit() else 0.0))


def _refusal(response: urllib3.BaseHTTPResponse) -> ClientError:
    try:
        answer = json.loads(response.data)
        return ClientError(str(answer["reason"]), response.status, answer.get("errors", ()))
    except (ValueError, KeyError, TypeError):
        return ClientError(f"status {response.status}", response.status)


def _query(filters: Mapping[str, Any]) -> str:
    pairs = [(name, _written(value)) for name, value in filters.items() if value is not None]
    return f"?{urlencode(pairs)}" if pairs else ""


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple, set, frozenset)):
        parts = (_written(part) for part in value)
        return (
            "("
            + ",".join(f'"{p.replace(chr(34), chr(34) * 2)}"' if "," in p or '"' in p else p for p in parts)
            + ")"
        )
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return str(value)


def _records(rows: pd.DataFrame | Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(rows, pd.DataFrame):
        rows = [{str(k): v for k, v in row.items()} for row in rows.to_dict("records")]
    return [_plain(row) for row in rows]


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of JSON: times as text, what is missing as null."""
    plain: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, (date, datetime)):
            plain[name] = None if pd.isna(value) else value.isoformat()
        elif isinstance(value, float) and math.isnan(value):
            plain[name] = None
        elif hasattr(value, "item"):
            plain[name] = value.item()
        else:
            plain[name] = None if value is pd.NA else value
    return plain


def _readings(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a DataFrame to readings; columns that are no field of a reading are measures."""
    fixed = [str(name) for name in frame.columns if name in _FIXED]
    measured = [name for name in frame.columns if name not in _FIXED]
    items = _records(frame[fixed])
    if "measures" in fixed or not measured:
        return items
    columns = {str(name): frame[name].astype("float64").tolist() for name in measured}
    for i, item in enumerate(items):
        item["measures"] = [
            {"name": name, "value": values[i]}
            for name, values in columns.items()
            if not math.isnan(values[i])
        ]
    return items
