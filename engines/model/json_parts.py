"""What all objects of `model.json` are made of, and how strictly they are read."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]


class Part(BaseModel):
    """An object of `model.json`: frozen, with no key beside its fields and no NaN in them."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
