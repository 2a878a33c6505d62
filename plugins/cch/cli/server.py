"""The API of CCH in Airflow's API server, as commands use it that change what only the server can change."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import httpx

from cch.errors import CchError, ServiceUnavailableError, WrongUseError

#: Below the server's address.
_API = "/cch/api/v1"
#: Seconds without an answer after which the server is taken for dead.
_PATIENCE = 60.0
_PAGE = 200


class RefusedError(CchError):
    """The server has understood what is wanted, and does not do it. ``code`` is that of the API's problem."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        hints = [str(each["message"]) for each in problem.get("errors") or ()]
        detail = str(problem.get("detail") or problem.get("title") or "the server refused it")
        super().__init__(": ".join([detail.rstrip("."), "; ".join(hints)]) if hints else detail)
        self.problem = str(problem.get("code", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Where the server is, and who asks. ``token`` makes ``user`` and ``password`` unnecessary."""

    url: str
    token: str = ""
    user: str = ""
    password: str = ""


def login() -> Login:
    """What the environment says: ``CCH_API_URL``, ``CCH_API_TOKEN`` or ``CCH_API_USER`` and ``CCH_API_PASSWORD``.

    :raises WrongUseError: something is missing; says what.
    """
    url = os.environ.get("CCH_API_URL") or os.environ.get("AIRFLOW__API__BASE_URL") or ""
    found = Login(
        url=url.rstrip("/"),
        token=os.environ.get("CCH_API_TOKEN", ""),
        user=os.environ.get("CCH_API_USER", ""),
        password=os.environ.get("CCH_API_PASSWORD", ""),
    )
    if not found.url:
        raise WrongUseError('set CCH_API_URL to the address of Airflow (with a local stack: eval "$(cch env)")')
    if not found.token and not found.user:
        raise WrongUseError("set CCH_API_TOKEN, or CCH_API_USER and CCH_API_PASSWORD, to a login of Airflow")
    return found


class Server:
    """One session with the server. Blocking."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._client = httpx.Client(base_url=login.url, timeout=_PATIENCE)

    def __enter__(self) -> Self:
        token = self._login.token or self._new_token()
        self._client.headers["Authorization"] = f"Bearer {token}"
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def _new_token(self) -> str:
        credentials = {"username": self._login.user, "password": self._login.password}
        answer = self._ask("POST", "/auth/token", json=credentials)
        if answer.status_code in (400, 401, 403):
            raise WrongUseError(f"{self._login.url} does not let {self._login.user!r} in: check CCH_API_PASSWORD")
        if answer.is_error:
            raise ServiceUnavailableError(f"{self._login.url} gives no token: {answer.status_code}")
        return str(answer.json()["access_token"])

    def _ask(self, method: str, path: str, **given: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **given)
        except httpx.HTTPError as error:
            raise ServiceUnavailableError(f"{self._login.url} does not answer: {error}") from None

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """What a route answers.

        :raises RefusedError: it refuses; says why.
        :raises ServiceUnavailableError: it does not answer.
        """
        answer = self._ask(method, f"{_API}{path}", json=body, params=query or None)
        if answer.status_code == 401:
            raise WrongUseError(f"{self._login.url} does not know this login: is CCH_API_TOKEN too old?")
        if answer.status_code >= 500:
            raise ServiceUnavailableError(f"{self._login.url}: {answer.status_code} {answer.text[:200]}")
        if answer.is_error:
            raise RefusedError(answer.json())
        return answer.json()

    def instances(self, **search: Any) -> Iterator[dict[str, Any]]:
        """All instances that a search finds, page by page."""
        cursor: dict[str, str] = {}
        while True:
            page = self.call("GET", "/instances", limit=_PAGE, **search, **cursor)
            yield from page["items"]
            if not page["next_cursor"]:
                return
            cursor = {"cursor": page["next_cursor"]}
