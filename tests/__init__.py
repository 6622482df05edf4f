"""Tests of longtake, and what they share."""

import engines  # noqa: F401  # it turns telemetry off before a test imports onnxruntime itself
