"""What a bundle's encoder takes: key `input` of `model.json`, a union by `kind`.

The engines and the log half of `pipeline` ask a kind only for what every one has: `kind`; `timed`,
whether the time between records means anything; `rate_hz`, the records a second that the model was
trained at, None where that does not matter; `gap_after_s`, the silence that ends a memory; `array`,
the encoder's port; `samples`, inputs to verify an engine with; `words`, for people. What a kind has
beside these is for its decoder, which `pipeline.media.kinds` chooses.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Discriminator, Field, Tag, TypeAdapter, model_validator

from engines.model.json_parts import Part, Positive, PositiveFloat
from engines.model.ports import Port

Pixels = NDArray[np.uint8]  # (H, W, 3) of one picture, or (N, H, W, 3); RGB
Triple = tuple[float, float, float]

MAX_PICTURE_PIXELS = 4096 * 4096
MAX_LETTERS = 65_536  # bytes of one record that an encoder takes
MIN_RATE_HZ, MAX_RATE_HZ = 0.001, 1000.0

IUPAC: Mapping[str, str] = {
    "A": "A",
    "C": "C",
    "G": "G",
    "T": "T",
    "R": "AG",
    "Y": "CT",
    "S": "CG",
    "W": "AT",
    "K": "GT",
    "M": "AC",
    "B": "CGT",
    "D": "AGT",
    "H": "ACT",
    "V": "ACG",
    "N": "ACGT",
}
"""The letters of bases, and which bases each may stand for."""


class PictureInput(Part):
    """Pictures of one size. `mean` and `std` are for information: the graph applies them.

    `gap_reset_s`: the silence in seconds that ends a memory, None if none does. Without the key,
    the worker's setting of that name applies.
    """

    kind: Literal["picture"] = "picture"
    height: Positive
    width: Positive
    fit: Literal["stretch", "letterbox", "crop"]
    colour: Literal["rgb"]
    mean: Annotated[Triple, Field(strict=False)]
    std: Annotated[tuple[PositiveFloat, PositiveFloat, PositiveFloat], Field(strict=False)]
    rate_hz: Annotated[float, Field(ge=MIN_RATE_HZ, le=MAX_RATE_HZ)] | None
    gap_reset_s: PositiveFloat | None = None

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
    def timed(self) -> bool:
        """Pictures are moments."""
        return True

    def gap_after_s(self, setting_s: float) -> float | None:
        """Return the silence that ends a memory; None: none does. `setting_s` is the worker's."""
        return self.gap_reset_s if "gap_reset_s" in self.model_fields_set else setting_s

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


class LettersInput(Part):
    """Pieces of UTF-8 text, or of a sequence of bases in the letters of IUPAC.

    The encoder sees their bytes, `length` of them, filled up with zeros; the tables of what they
    mean are in the graph. `fit` says what happens to a longer record. `gap_reset_s`: the silence in
    seconds that ends a memory, None if none does.
    """

    kind: Literal["text", "bases"]
    length: Annotated[int, Field(gt=0, le=MAX_LETTERS)]
    fit: Literal["cut", "refuse"]
    gap_reset_s: PositiveFloat | None = None

    @property
    def timed(self) -> bool:
        """Letters have an order and no time."""
        return False

    @property
    def rate_hz(self) -> None:
        """Letters have no rate: none is left out."""

    def gap_after_s(self, setting_s: float) -> float | None:
        """Return the silence that ends a memory; None: none does. The bundle alone decides."""
        del setting_s
        return self.gap_reset_s

    @property
    def words(self) -> str:
        """The input in words, for people."""
        return f"{self.length} bytes of {self.kind}, {self.fit}"

    @property
    def array(self) -> Port:
        """The encoder's input: uint8 (N, L)."""
        return Port("frames", np.dtype(np.uint8), (self.length,))

    def fitted(self, letters: bytes) -> NDArray[np.uint8]:
        """Bring clean letters to (L,): text is never cut inside a character.

        Raises `ValueError` if they are too long and not to be cut, or not even one fits.
        """
        if len(letters) > self.length:
            if self.fit == "refuse":
                raise ValueError(
                    f"{len(letters)} letters of {self.kind}; the model takes {self.length} at a"
                    " time: send them as several records"
                )
            letters = letters[: self.length]
            if self.kind == "text":
                letters = letters.decode("utf-8", "ignore").encode()
            if not letters:
                raise ValueError(f"not even its first character fits into {self.length} bytes")
        return np.frombuffer(letters.ljust(self.length, b"\0"), np.uint8)

    def samples(self, count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Draw letters of random lengths."""
        drawn = "".join(IUPAC).encode() if self.kind == "bases" else bytes(range(32, 256))
        letters = rng.choice(np.frombuffer(drawn, np.uint8), (count, self.length))
        ends = rng.integers(1, self.length + 1, (count, 1))
        return np.where(np.arange(self.length) < ends, letters, 0).astype(np.uint8)


_TAGS = {"picture": "picture", "text": "letters", "bases": "letters"}


def _kind_of(described: object) -> str | None:
    """Return the class for a key `kind`: without it pictures, as in bundles older than the key."""
    if isinstance(described, dict):
        return _TAGS.get(str(described.get("kind", "picture")))
    return _TAGS.get(str(getattr(described, "kind", None)))


InputSpec = Annotated[
    Annotated[PictureInput, Tag("picture")] | Annotated[LettersInput, Tag("letters")],
    Discriminator(
        _kind_of,
        custom_error_type="input_kind",
        custom_error_message=(
            "the kind of input is unknown, wanted is 'picture', 'text' or 'bases'"
        ),
    ),
]


def write_input(spec: InputSpec) -> str:
    """Return an input as JSON, for `read_input`."""
    return spec.model_dump_json(exclude_unset=True)


def read_input(content: str) -> InputSpec:
    """Read what `write_input` has written."""
    spec: InputSpec = TypeAdapter(InputSpec).validate_json(content)
    return spec
