"""Connections that wait for nobody: the deadlines that uvicorn has no settings for."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from settings import Settings
from uvicorn.protocols.http.auto import AutoHTTPProtocol


class Connection(AutoHTTPProtocol):
    """uvicorn's HTTP connection, closed if the head of a request takes too long, or the client reads nothing.

    Becomes a WebSocket's connection with the same socket, so what is set there holds for streams too.
    """

    def __init__(self, *arguments: Any, settings: Settings, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._settings = settings
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        close_if_unread(transport, self._settings.read_timeout)
        self._expect_request()

    def data_received(self, data: bytes) -> None:
        """Take bytes, which may be a part of a head, or what is left of a body that was answered early."""
        if not self._answering():
            self._expect_request()
        super().data_received(data)
        if self._answering() or self.transport.get_protocol() is not self:
            self._cancel_deadline()

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the deadline."""
        self._cancel_deadline()
        super().connection_lost(error)

    def _answering(self) -> bool:
        """Return whether a request's head is there, and its answer is not complete."""
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_request(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self._settings.head_timeout, self.transport.close)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def close_if_unread(transport: asyncio.Transport, seconds: float) -> None:
    """Have the system end a connection if nothing of what waits to be sent is taken for so long.

    A closed transport waits for its buffer too, so without this one that is never read would stay for ever.
    """
    connection = transport.get_extra_info("socket")
    # Linux alone has this, and only TCP.
    if hasattr(socket, "TCP_USER_TIMEOUT") and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(seconds * 1000))
