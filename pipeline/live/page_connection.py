"""A connection to the page: like any, but events may flow as long as the client reads them."""

from pipeline.web.connections import BoundedConnection


class PageConnection(BoundedConnection):
    """Renews the time of an exchange whose answer is under way, and is being read."""

    def overdue(self) -> None:
        """End the exchange, unless its answer has begun and nothing of it waits for the client."""
        if self._answering and self._all_is_read:
            self._begin_exchange()
        else:
            self.drop()

    def shutdown(self) -> None:
        """End with the server, though events would go on for ever."""
        if self._answering:
            self.drop()
        else:
            super().shutdown()

    @property
    def _answering(self) -> bool:
        cycle = self.cycle
        return cycle is not None and cycle.response_started and not cycle.response_complete

    @property
    def _all_is_read(self) -> bool:
        return self.transport.get_write_buffer_size() == 0
