"""What all objects of `model.json` are made of, and how strictly they are read.

The only place for the rule what text may come from a bundle: labels, names of joints and ports. It
reaches predictions, terminals, videos and web pages.
"""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

MAX_TEXT_CHARACTERS = 256

Positive = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]


class Part(BaseModel):
    """An object of `model.json`: frozen, with no key beside its fields and no NaN in them."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def is_plain(text: str) -> bool:
    """Return whether all characters are printable: no control characters of any kind.

    That excludes line breaks, terminal escapes (C0 and C1), characters that change the direction
    of writing, and every space but U+0020.
    """
    return text.isprintable()


def _plain(text: str) -> str:
    if not is_plain(text):
        odd = next(character for character in text if not is_plain(character))
        raise ValueError(f"text must be printable and on one line, U+{ord(odd):04X} is not")
    return text


PlainText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_TEXT_CHARACTERS),
    AfterValidator(_plain),
]
