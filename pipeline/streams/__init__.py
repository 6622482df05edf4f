"""The frame path: from a record to its prediction; no stream affects another one's predictions."""
