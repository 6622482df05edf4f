"""The frame path: from a record to its prediction, each stream as if alone."""
