"""gunicorn's worker with the settings of this service: `gunicorn --worker-class gunicorn_worker.Worker`."""

from __future__ import annotations

from typing import Any, ClassVar

from serve import options
from settings import Settings
from uvicorn_worker import UvicornWorker


class Worker(UvicornWorker):
    """Runs uvicorn as `serve.py` does."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = options(Settings.from_environment())
