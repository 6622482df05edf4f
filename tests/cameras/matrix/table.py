"""The table of results in docs/cameras.md."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.cameras.matrix.sources import GstSource, Source, knowable
from tests.cameras.matrix.viewing import Verdict

PAGE = Path(__file__).parents[3] / "docs" / "cameras.md"
BEGIN, END = "<!-- matrix: begin -->", "<!-- matrix: end -->"
HEAD = [
    "| source | cameras | pictures sent | handed on right | left out | wrong |",
    "|---|--:|--:|--:|--:|--:|",
]


def table(results: Iterable[tuple[Source, Verdict]]) -> str:
    """Return the rows: one for each kind of source, in their order."""
    rows = dict[str, list[tuple[Source, Verdict]]]()
    for source, verdict in results:
        rows.setdefault(_kind(source), []).append((source, verdict))
    return "\n".join([*HEAD, *(_row(kind, judged) for kind, judged in rows.items())])


def put_into(page: str, text: str) -> str:
    """Replace what a page has between its two marks. Raises `ValueError` without them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page needs the marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def _row(kind: str, judged: Sequence[tuple[Source, Verdict]]) -> str:
    whole = sum((verdict for _, verdict in judged), Verdict(0, 0, 0))
    numbers = [len(judged), whole.sent, whole.right, whole.left_out, whole.wrong]
    unknown = sum(verdict.wrong for source, verdict in judged if not knowable(source))
    words = f" ({unknown:,}: see below)" if unknown else ""
    return f"| {kind} | {' | '.join(f'{one:,}' for one in numbers)}{words} |"


def _kind(source: Source) -> str:
    codec = "H.265" if source.codec == "hevc" else "H.264 CABAC" if source.cabac else "H.264 CAVLC"
    sums = " with checksums" if source.checksums else ""
    sender = "GStreamer" if isinstance(source, GstSource) else "our own RTP sender"
    loss = f"{source.loss:.0%} of packets lost" if source.loss else "nothing lost"
    return f"{codec}{sums}, {sender}, {loss}"
