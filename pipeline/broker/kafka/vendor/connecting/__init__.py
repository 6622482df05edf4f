"""Why a connection to a broker fails: watched, explained, and checked for in advance."""
