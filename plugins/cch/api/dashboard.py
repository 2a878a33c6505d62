"""The dashboard's built files under ``/cch/ui/``, or a page that says how to build them.

They hold no data and need no login, like Airflow's own; what they show comes from the API.
"""

from __future__ import annotations

from pathlib import Path

from fastapi.responses import HTMLResponse
from starlette.datastructures import MutableHeaders
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

#: Where ``make ui`` puts them; not committed (docs/adr/0017-the-dashboard-is-built-not-committed.md).
FOLDER = Path(__file__).parent / "dashboard"

#: Nothing from elsewhere, and nobody else's frame. The form's validator compiles schemas: `unsafe-eval`.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " worker-src 'self' blob:; frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
)

_NOTICE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>CCH</title>
<style>
  :root { color-scheme: light dark; font: 16px/1.6 system-ui, sans-serif }
  main { max-width: 40rem; margin: 15vh auto; padding: 0 1.5rem }
</style>
<main>
  <h1>The dashboard is not built</h1>
  <p>Everything else works: Airflow's own pages, and the <a href="../docs">REST API</a>.</p>
  <p>To build it, run <code>make ui</code> where Node.js 18 or newer is installed
  (Debian: <code>apt-get install nodejs npm</code>), then load this page again.</p>
</main>
</html>
"""


class Dashboard:
    """Serves the files if they are there, which is looked up each time: they may be built while Airflow runs."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._files = StaticFiles(directory=folder, html=True, check_dir=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = _POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
                # Names of assets change with their content; the page that names them does not.
                hashed = "/assets/" in scope["path"] and message["status"] == 200
                headers["Cache-Control"] = "public, max-age=31536000, immutable" if hashed else "no-cache"
            await send(message)

        built = (self._folder / "index.html").is_file()
        app = self._files if built else HTMLResponse(_NOTICE)
        await app(scope, receive, with_headers)
