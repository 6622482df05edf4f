"""A connection to the page: like any, but events may flow as long as the client reads them."""

from pipeline.web.connections import BoundedConnection


class PageConnection(BoundedConnection):
    """Renews the time of an exchange whose answer is under way, and is being read."""

    def overdue(self) -> None:
        """End the exchange, unless its answer has begun and nothing of it waits for the client."""
        answering = self.cycle is not None and self.cycle.response_started
        if answering and not self.cycle.response_complete and self._all_is_read:
            self._begin_exchange()
        else:
            self.drop()

    @property
    def _all_is_read(self) -> bool:
        return self.transport.get_write_buffer_size() == 0
