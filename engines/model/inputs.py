"""What a bundle's encoder takes: key `input` of `model.json`, a union by `kind`.

The engines and the log half of `pipeline` ask a kind only for what every one has: `kind`;
`rate_hz`, the records a second that the model was trained at, None where that does not matter;
`array`, the encoder's port; `samples`, inputs to verify an engine with; `words`, for people. What a
kind has beside these is for its decoder, which `pipeline.media.kinds` chooses. Today there is one
kind: pictures.
"""

from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Discriminator, Field, Tag, TypeAdapter, model_validator

from engines.model.json_parts import Part, Positive, PositiveFloat
from engines.model.ports import Port

Pixels = NDArray[np.uint8]  # (H, W, 3) of one picture, or (N, H, W, 3); RGB
Triple = tuple[float, float, float]

MAX_PICTURE_PIXELS = 4096 * 4096
MIN_RATE_HZ, MAX_RATE_HZ = 0.001, 1000.0


class PictureInput(Part):
    """Pictures of one size. `mean` and `std` are for information: the graph applies them."""

    kind: Literal["picture"] = "picture"
    height: Positive
    width: Positive
    fit: Literal["stretch", "letterbox", "crop"]
    colour: Literal["rgb"]
    mean: Annotated[Triple, Field(strict=False)]
    std: Annotated[tuple[PositiveFloat, PositiveFloat, PositiveFloat], Field(strict=False)]
    rate_hz: Annotated[float, Field(ge=MIN_RATE_HZ, le=MAX_RATE_HZ)] | None

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        pixels = self.height * self.width
        if pixels > MAX_PICTURE_PIXELS:
            raise ValueError(
                f"pictures of {self.height} x {self.width} have {pixels:,} pixels, at most"
                f" {MAX_PICTURE_PIXELS:,} are taken"
            )
        return self

    @property
    def words(self) -> str:
        """The input in words, for people."""
        return f"{self.height} x {self.width}, {self.fit}"

    @property
    def array(self) -> Port:
        """The encoder's input: uint8 (N, H, W, 3)."""
        return Port("frames", np.dtype(np.uint8), (self.height, self.width, 3))

    def samples(self, count: int, rng: np.random.Generator) -> Pixels:
        """Draw coarse blocks of differing contrast: to a network, pictures of noise look alike."""
        blocks = rng.integers(0, 256, (count, 7, 7, 3))
        contrast = np.linspace(1, 0.3, count).reshape(-1, 1, 1, 1)
        coarse = (blocks * contrast).astype(np.uint8)
        tall = coarse[:, np.arange(self.height) * 7 // self.height]
        return tall[:, :, np.arange(self.width) * 7 // self.width]  # (N, H, W, 3)


def _kind_of(described: object) -> str:
    """The key `kind`; without it the input is a picture, as in bundles older than the key."""
    if isinstance(described, dict):
        return str(described.get("kind", "picture"))
    return str(getattr(described, "kind", "picture"))


InputSpec = Annotated[
    Annotated[PictureInput, Tag("picture")],  # another kind joins with |
    Discriminator(
        _kind_of,
        custom_error_type="input_kind",
        custom_error_message="the kind of input is unknown, wanted is 'picture'",
    ),
]


def read_input(content: str) -> InputSpec:
    """Read what `model_dump_json` of an input has written."""
    spec: InputSpec = TypeAdapter(InputSpec).validate_json(content)
    return spec
