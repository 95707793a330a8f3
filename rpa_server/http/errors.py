"""One middleware that answers every failure with a JSON body and the right status, never with a traceback."""

import logging

from aiohttp import web
from aiohttp.typedefs import Handler

from .. import errors, safejson

logger = logging.getLogger(__name__)

_CODES = {
    400: "bad_request",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
}
_TEXTS = {
    404: "There is nothing at this address.",
    405: "This address does not take this method; the Allow header names those it takes.",
    413: "The body is too large.",
}


@web.middleware
async def json_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error with the object that errors.body() builds."""
    try:
        return await handler(request)
    except errors.RpaError as error:
        if error.status >= 500 and not error.temporary:
            logger.error("%s %s: %s", request.method, request.rel_url.path, error)
        body = errors.body(error.code, str(error), error.temporary)
        response = answer(body, error.status, error.headers)
        if isinstance(error, errors.ServerFull):
            response.force_close()  # else the idle connection would take a descriptor that another client needs
        return response
    except web.HTTPException as error:
        if error.status < 400:
            raise
        code = _CODES.get(error.status, "bad_request")
        text = _TEXTS.get(error.status) or error.text or error.reason
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return answer(errors.body(code, text), error.status, headers)
    except Exception:
        logger.exception("%s %s failed.", request.method, request.rel_url.path)
        return answer(errors.body("internal", "The server failed; its log says why."), 500)


def answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Build a JSON response that must not be cached; *headers* override the default ones."""
    return web.Response(
        body=safejson.dumps(body),
        status=status,
        content_type="application/json",
        charset="utf-8",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **(headers or {})},
    )
