"""The bundle's two graphs, run in the simplest way."""

import json
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from pipeline.errors import UndecodableFrameError
from pipeline.media.pictures import Fit, decode_picture, fit_frame
from pipeline.media.showing.interlaced import progressive
from pipeline.media.video.outcomes import Decoded


class Model:
    """A bundle's two graphs on ONNX Runtime, one frame at a time."""

    def __init__(self, bundle: Path) -> None:
        text = (bundle / "model.json").read_bytes()
        self.words: dict[str, Any] = json.loads(text)
        self.id = f"{self.words['name']}@{sha256(text).hexdigest()[:8]}"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._encoder, self._head = (
            onnxruntime.InferenceSession(str(bundle / f"{part}.onnx"), options)
            for part in ("encoder", "head")
        )
        wanted = self.words["input"]
        self._fit = Fit(wanted["height"], wanted["width"], wanted["fit"])
        self.features = cache(self._features)  # cached: cameras repeat a few pictures
        self._known: dict[bytes, Any] = {}  # features by pixels: films are repeated too

    def _features(self, content: bytes) -> Any:
        """Return the features (1, F), or None if the bytes are not a picture."""
        try:
            pixels = decode_picture(content, self._fit)
        except UndecodableFrameError:
            return None
        return self._encode(pixels)

    def features_of(self, decoded: Decoded) -> Any:
        """Return the features (1, F) of a unit's picture, or None if it cannot be scaled."""
        try:
            picture = progressive(decoded.picture)
            pixels = fit_frame(picture, self._fit, orientation=decoded.orientation)
        except UndecodableFrameError:
            return None
        key = pixels.tobytes()
        if key not in self._known:
            self._known[key] = self._encode(pixels)
        return self._known[key]

    def _encode(self, pixels: Any) -> Any:
        return self._encoder.run(["features"], {"frames": pixels[None]})[0]

    def step(self, features: Any, state: dict[str, Any]) -> tuple[list[float], dict[str, Any]]:
        """Return the logits (K,), and the state after the step."""
        specs = self.words["state"]
        feeds = {
            s["input"]: state.get(s["name"], np.zeros((1, *s["shape"]), s["dtype"])) for s in specs
        }
        outputs = ["logits", *(s["output"] for s in specs)]
        logits, *after = self._head.run(outputs, {"features": features, **feeds})
        return [float(x) for x in logits[0]], {
            s["name"]: tensor for s, tensor in zip(specs, after, strict=True)
        }
