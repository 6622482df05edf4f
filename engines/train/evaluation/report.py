"""The report: one HTML file without references, for a browser without network."""

import base64
import json
from collections.abc import Iterator, Mapping
from html import escape

from engines.model.bundle import Bundle
from engines.train.evaluation.charts import draw
from engines.train.evaluation.evaluate import Evaluation
from engines.train.evaluation.facts import FIGURES, Facts, percent, tests_of, title, written

STYLE = """
body { font: 16px/1.55 system-ui, sans-serif; color: #1f2937; background: #fff;
  max-width: 62rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin-bottom: .4rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .4rem; padding-top: 1.4rem;
  border-top: 1px solid #e5e7eb; }
p { max-width: 46rem; } p.about { color: #4b5563; margin-top: 0; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .28rem .9rem .28rem 0; text-align: left; border-bottom: 1px solid #e5e7eb;
  vertical-align: top; font-weight: normal; overflow-wrap: anywhere; }
thead th { font-weight: 600; } td { font-variant-numeric: tabular-nums; }
figure { margin: 1.2rem 0; } img { max-width: 100%; height: auto; display: block; }
figcaption { color: #4b5563; font-size: .92rem; max-width: 46rem; }
"""


def write_report(evaluation: Evaluation, bundle: Bundle) -> str:
    """Write the whole page."""
    facts: Facts = dict(evaluation.facts)
    name = escape(bundle.id)
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{name} on {escape(facts['data'])}</title>\n<style>{STYLE}</style>\n</head>",
            f"<body>\n<h1>{name}: what it sees, and what its memory is worth</h1>",
            *_sections(evaluation, facts),
            "<h2>How it was measured</h2>",
            _method(facts),
            "<h2>The bundle's card</h2>",
            _card(bundle),
            "</body>\n</html>\n",
        ]
    )


def _sections(evaluation: Evaluation, facts: Facts) -> Iterator[str]:
    pictures = draw(evaluation)
    first = title(next(iter(tests_of(facts))))
    yield _abstract(facts)
    yield _figures(tests_of(facts))
    yield "<h2>What memory buys</h2>"
    yield _figure(pictures["strip"], _strip_caption(evaluation, first))
    yield _figure(
        pictures["since_onset"],
        f"Share of frames right by the time since the action began, {first}. In the first moments"
        " nobody can know; later a memory adds up what it has seen, and a single frame does not.",
    )
    yield _figure(
        pictures["resets"],
        f"What it costs to forget, {first}: the same frames, with the state set to zero every so"
        " many of them, as when a worker dies and kept nothing.",
    )
    yield "<h2>How far its scores can be trusted</h2>"
    yield _figure(
        pictures["reliability"],
        "Answers by how sure they were, against how often they were right. On the dotted line"
        " 80 % sure is 80 % right; below it the model is too sure. Large dots are many frames.",
    )
    yield "<h2>Class by class</h2>"
    yield _figure(pictures["classes"], "Percent of the frames of each class that were right.")
    yield _figure(
        pictures["confusion"],
        f"What was answered where something else was true, {first}, in percent of each row."
        " Shares below 0.5 % are left blank.",
    )


def _abstract(facts: Facts) -> str:
    carried, lost = (percent(facts["reset_every"][name]) for name in ("never", "1"))
    text = (
        f"With its memory carried from frame to frame, {carried} of the frames are answered right;"
        f" forget it before every frame, and {lost} are."
    )
    if "frame_only" in facts:
        only = facts["frame_only"]
        text += (
            f" The best head that looks at single frames of the same encoder"
            f" ({escape(only['head'])}) reaches {percent(only['accuracy'])}."
        )
    first = next(iter(tests_of(facts)))
    return f"<p>{text} ({title(first).capitalize()} of the data set {escape(facts['data'])}.)</p>"


def _figures(tests: Mapping[str, Facts]) -> str:
    heads = "".join(
        f'<th scope="col">{escape(title(name))}<br>{escape(test["about"])}</th>'
        for name, test in tests.items()
    )
    rows = []
    for key, (name, _) in FIGURES.items():
        cells = "".join(f"<td>{written(test, key)}</td>" for test in tests.values())
        rows.append(f'<tr><th scope="row">{name}</th>{cells}</tr>')
    return _table(f"<tr><td></td>{heads}</tr>", rows)


def _strip_caption(evaluation: Evaluation, first: str) -> str:
    return (
        f"Stream “{escape(evaluation.strip.stream)}” of {first}, chosen because half of the"
        " streams were answered better and half worse. Where a row's colour is that of the truth,"
        " it is right."
    )


def _method(facts: Facts) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    seed = f", seed {facts['seed']}" if "seed" in facts else ""
    only = ""
    if "frame_only" in facts:
        tried = facts["frame_only"]["held_out"].items()
        shares = ", ".join(f"{escape(name)} {percent(share)}" for name, share in tried)
        only = (
            f"<p>The frame-only head had {facts['frame_only']['training_streams']:,} training"
            " streams. It was the best of several on every fifth of them, from which none had"
            f" learnt ({shares}); only that one saw the tests.</p>"
        )
    return (
        f"<p>Data set {escape(facts['data'])}{seed}: {facts['streams']:,} streams with"
        f" {facts['frames']:,} labelled frames at {facts['rate_hz']:g} frames/s, through the"
        " engine that workers use, side by side, with states of their own. The answer to a frame"
        " is the label with the largest score. An action is detected at the first of three right"
        f' frames in a row.</p>{only}<p class="about">{escape(versions)}</p>'
    )


def _card(bundle: Bundle) -> str:
    spec = bundle.input
    rows = {
        "input": spec.words,
        "frames/s": "any" if spec.rate_hz is None else f"{spec.rate_hz:g}",
        "labels": ", ".join(bundle.labels),
        "state": ", ".join(f"{state.name} {list(state.shape)}" for state in bundle.state),
        "digest": bundle.digest,
        **{name: value for name, value in bundle.training.items() if not isinstance(value, dict)},
    }
    deeper = {name: value for name, value in bundle.training.items() if isinstance(value, dict)}
    more = ""
    if deeper:
        text = escape(json.dumps(deeper, indent=1, ensure_ascii=False))
        summary = "<summary>All that its training wrote down</summary>"
        more = f"<details>{summary}<pre>{text}</pre></details>"
    return (
        _table(
            "",
            [
                f'<tr><th scope="row">{escape(name)}</th><td>{escape(str(value))}</td></tr>'
                for name, value in rows.items()
            ],
        )
        + more
    )


def _table(head: str, rows: list[str]) -> str:
    return f"<table>\n<thead>{head}</thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>"


def _figure(svg: str, caption: str) -> str:
    """Embed an SVG as an image, so that its ids cannot collide with those of another SVG."""
    inlined = base64.b64encode(svg.encode()).decode()
    source = f"data:image/svg+xml;base64,{inlined}"
    return (
        f'<figure><img src="{source}" alt="{escape(caption)}">\n'
        f"<figcaption>{caption}</figcaption></figure>"
    )
