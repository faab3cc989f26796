"""Run the service: uvicorn, with what it has to know of the settings."""

from __future__ import annotations

from functools import partial
from typing import Any

import uvicorn
from connections import Connection
from settings import Settings


def options(settings: Settings) -> dict[str, Any]:
    """Return uvicorn's options."""
    return {
        "http": partial(Connection, settings=settings),
        "limit_concurrency": settings.max_connections,
        "timeout_keep_alive": settings.idle_timeout,
        "timeout_graceful_shutdown": settings.graceful_timeout,
        "ws_max_size": settings.max_body,
    }


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    settings = Settings.from_environment()
    uvicorn.run("app:app", host=settings.host, port=settings.port, **options(settings))


if __name__ == "__main__":
    main()
