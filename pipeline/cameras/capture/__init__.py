"""From a connection or a file to shots."""
