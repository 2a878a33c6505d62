"""Errors as ``application/problem+json`` (RFC 9457), all of them; what nobody foresaw says nothing of the inside."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from cch.api.models import FieldProblem, Problem
from cch.errors import CchError, MalformedMessageError, RejectedMessageError, ServiceUnavailableError, WrongUseError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
#: Largest number of problems of one request that are reported.
_MOST = 20


class ApiError(Exception):
    """A request that cannot be done. ``code`` is stable; ``detail`` is for people."""

    def __init__(self, status: int, code: str, detail: str = "", errors: Sequence[FieldProblem] = ()) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = list(errors)
        super().__init__(detail or code)


def not_found(what: str, name: str) -> ApiError:
    """Also for what the user may not see: both look the same."""
    return ApiError(
        404, f"{what.replace(' ', '_')}_not_found", f"There is no {what} {name[:200]!r}, or you may not see it."
    )


def answer(error: ApiError, headers: Mapping[str, str] | None = None) -> Response:
    problem = Problem(
        title=HTTPStatus(error.status).phrase,
        status=error.status,
        detail=error.detail,
        code=error.code,
        errors=error.errors[:_MOST],
    )
    return Response(
        problem.model_dump_json(), status_code=error.status, media_type=MEDIA_TYPE, headers=dict(headers or {})
    )


_CODES = {
    401: "not_authenticated",
    403: "not_allowed",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
}


def _field_problems(errors: Sequence[Any]) -> Iterator[FieldProblem]:
    for error in errors:
        place = ".".join(str(part) for part in error.get("loc", ()))
        yield FieldProblem(location=place[:300], message=str(error.get("msg", ""))[:300])


async def _expected(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return answer(error, {"Retry-After": "5"} if error.status == 503 else None)


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 400:  # FastAPI's, for bodies that are no text
        return answer(ApiError(422, "invalid_request", str(error.detail)), error.headers)
    code = _CODES.get(error.status_code, "error")
    return answer(ApiError(error.status_code, code, str(error.detail)), error.headers)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = list(_field_problems(error.errors()))
    return answer(ApiError(422, "invalid_request", "The request is not as the API's description says.", problems))


async def _ours(_: Request, error: Exception) -> Response:
    assert isinstance(error, CchError)
    match error:
        case ServiceUnavailableError():
            return answer(ApiError(503, "service_unavailable", str(error)), {"Retry-After": "5"})
        case MalformedMessageError() | RejectedMessageError():
            return answer(ApiError(422, "rejected", error.reason))
        case WrongUseError():
            return answer(ApiError(409, "conflict", str(error)))
        case _:
            log.error("request failed", exc_info=error, extra={"cch_code": error.code})
            return answer(ApiError(500, "internal_error", "The request failed; the server's log says why."))


async def _unforeseen(_: Request, error: Exception) -> Response:
    log.error("request failed", exc_info=error)
    return answer(ApiError(500, "internal_error", "The request failed; the server's log says why."))


def install(app: FastAPI) -> None:
    """Let ``app`` answer every error this way."""
    app.add_exception_handler(ApiError, _expected)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(CchError, _ours)
    app.add_exception_handler(Exception, _unforeseen)


#: For the OpenAPI document: which errors a route can answer with.
def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Descriptions of the errors ``statuses``, and of those that every route has."""
    meanings = {
        401: "Not logged in.",
        403: "Logged in, but without the permission; or a request from another site.",
        404: "There is no such thing, or the user may not see it.",
        409: "It cannot be done in the state that things are in.",
        410: "The instance has expired: what it did is no longer kept.",
        413: "The body is larger than 1 MiB.",
        422: "The request is wrong; `errors` says where.",
        503: "AWS does not answer; nothing was done.",
    }
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {"description": meanings[status], "content": {MEDIA_TYPE: schema}}
        for status in sorted({401, 403, 422, *statuses})
    }
