"""What one stream shows of its camera's picture, and the only place that cuts and masks pixels.

A picture that was cut has neither the camera's JPEG nor its unit of video: nothing behind this
module can publish what a mask covers.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.cameras.values import Picture
from pipeline.cameras.views.rectangles import PixelBox, Rectangle, UnfitViewError
from pipeline.media.headers.picture_headers import walk
from pipeline.media.pictures import decode_upright, rgb_pixels
from pipeline.media.video.outcomes import NOT_H264

_SIDEWAYS = 5  # EXIF orientations from here on swap width and height

Size = tuple[int, int]  # width, height


@dataclass(frozen=True, slots=True)
class CameraView:
    """The part that is shown, None: all of it; and the parts that are black, of the whole picture.

    Rectangles in pixels belong to pictures of one size.
    """

    crop: Rectangle | None = None
    masks: tuple[Rectangle, ...] = ()

    @property
    def cuts(self) -> bool:
        """Whether it shows anything but the whole picture."""
        return self.crop is not None or bool(self.masks)

    @property
    def of_pixels(self) -> bool:
        """Whether it is written in pixels, at least in part."""
        return any(one.of_pixels for one in (self.crop, *self.masks) if one is not None)

    def box(self, size: Size) -> PixelBox:
        """Return what it shows of a picture. Raises `UnfitViewError`."""
        if self.crop is None:
            return PixelBox(0, 0, *size)
        try:
            return self.crop.within(*size)
        except UnfitViewError as exc:
            raise UnfitViewError(f"its crop {exc}") from None

    def hidden(self, size: Size) -> list[PixelBox]:
        """Return what is black of a picture. Raises `UnfitViewError`."""
        try:
            return [one.within(*size) for one in self.masks]
        except UnfitViewError as exc:
            raise UnfitViewError(f"its mask {exc}") from None

    def develop(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what it shows of a whole picture (H, W, 3), as an array of its own."""
        size = pixels.shape[1], pixels.shape[0]
        box = self.box(size)
        shown = pixels[box.top : box.bottom, box.left : box.right].copy()
        for one in self.hidden(size):
            rows = slice(max(0, one.top - box.top), max(0, one.bottom - box.top))
            shown[rows, max(0, one.left - box.left) : max(0, one.right - box.left)] = 0
        return shown


class WholePicture:
    """A picture as it came: decoded at most once, when a view first needs its pixels."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture

    @cached_property
    def size(self) -> Size:
        """Its size as it is shown: upright. Raises `UndecodableFrameError`."""
        width, height = self.picture.width, self.picture.height
        if self.picture.jpeg is not None and walk(self.picture.jpeg).orientation >= _SIDEWAYS:
            return height, width
        return width, height

    def cut(self, view: CameraView) -> Picture:
        """Return what a view shows, whose pixels are made when they are needed.

        Raises `UnfitViewError` and `UndecodableFrameError`.
        """
        view.hidden(self.size)
        width, height = view.box(self.size).size
        return replace(
            self.picture,
            width=width,
            height=height,
            jpeg=None,
            frame=None,
            unit=NOT_H264,
            part=partial(self._part, view),
        )

    def _part(self, view: CameraView) -> av.VideoFrame:
        return av.VideoFrame.from_ndarray(view.develop(self._pixels), format="rgb24")

    @cached_property
    def _pixels(self) -> NDArray[np.uint8]:
        frame = self.picture.frame
        return rgb_pixels(decode_upright(self.picture.jpeg or b"") if frame is None else frame)


@dataclass(slots=True)
class Viewfinder:
    """Cuts the pictures of one camera to one view. One thread uses it.

    Its pixels belong to the size of the first picture that fitted: they would mean something else
    on a picture of another size, so such pictures are refused.
    """

    view: CameraView
    _size: Size | None = field(default=None, init=False)

    def find(self, whole: WholePicture) -> Picture:
        """Return what is shown. Raises `UnfitViewError` and `UndecodableFrameError`."""
        if not self.view.cuts:
            return whole.picture
        size = whole.size
        if self.view.of_pixels and self._size not in (None, size):
            raise UnfitViewError(_changed(self._size or size, size))
        cut = whole.cut(self.view)
        self._size = size
        return cut


def _changed(before: Size, now: Size) -> str:
    return (
        f"its picture is now {now[0]} x {now[1]}, and the pixels of its crop and masks belong to"
        f" {before[0]} x {before[1]}: set them anew, or in fractions of the picture"
    )
