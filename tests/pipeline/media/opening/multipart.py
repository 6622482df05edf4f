"""JPEGs that each look different, and the ways in which servers put them into an answer."""

import io
from collections.abc import Callable

from PIL import Image

Part = Callable[[bytes], bytes]
MULTIPART = "multipart/x-mixed-replace; boundary=frame"


def jpeg(n: int, *, width: int = 32, comment: bytes = b"", progressive: bool = False) -> bytes:
    """Return a picture that is another for each n."""
    pixels = bytes((17 * n + 3 * i * (n + 1)) % 256 for i in range(width * 24))
    file = io.BytesIO()
    image = Image.frombytes("L", (width, 24), pixels).convert("RGB")
    image.save(file, "JPEG", quality=80, comment=comment, progressive=progressive)
    return file.getvalue()


def part(
    one: bytes,
    *,
    line: bytes = b"--frame\r\n",
    kind: bytes = b"Content-Type: image/jpeg\r\n",
    length: int | None = 0,
    more: bytes = b"",
    after: bytes = b"\r\n",
) -> bytes:
    """Put a JPEG into a part; `length` is how much its Content-Length is wrong, None: it has none.

    `more` are further header lines.
    """
    counted = b"" if length is None else b"Content-Length: %d\r\n" % max(0, len(one) + length)
    return line + kind + more + counted + b"\r\n" + one + after
