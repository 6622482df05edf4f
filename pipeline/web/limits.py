"""The limits of the web server, as numbers. `connections` enforces them and says why."""

MAX_CONNECTIONS = 100
EXCHANGE_S = 5  # from the connection's start or the last answer until the next answer has been read
MAX_HEADER_BYTES = 8192  # of one request, its first line included
ACCEPTS_PER_ROUND = 16
ARRIVALS = 1024  # connections that wait in the kernel until they are accepted
