"""The texts and genomes of the recipes are read as they were published."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra longtake[train]")

from engines.train.letters import languages, strands
from engines.train.letters.declaration import LANGUAGES, of_articles, read_declaration
from engines.train.letters.genomes import Genome, read_bsub, read_ecoli
from tests.engines.train.letters.packed_data import BASES, declaration, genomes

CODING = "2" + "0" * 6 + "2" + "1" * 6 + "2" * 10  # of the made-up E. coli: 0 forward, 1 reverse
SPLIT = "2002" + "0" * 3 + CODING[7:]  # of the other one, whose first gene is in two parts


def written(genome: Genome) -> tuple[str, str]:
    return genome.bases.tobytes().decode(), "".join(map(str, genome.strands))


def test_paragraphs_keep_their_article_and_lose_their_markup(tmp_path: Path) -> None:
    texts = read_declaration(declaration(tmp_path).find(tmp_path))
    assert set(texts) == set(LANGUAGES)
    found = [(one.article, " ".join(one.words)) for one in texts["de"]]
    said = "de0 de1 de2 de3 de4 de5"
    assert found[:3] == [(0, "Preämble de"), (1, said), (1, "1 last")]
    assert [len(one) for one in of_articles(texts, [25])["fi"]] == [6, 2]


def test_genes_of_both_formats_are_marked_and_pseudogenes_are_not(tmp_path: Path) -> None:
    package = genomes(tmp_path).find(tmp_path)
    assert written(read_ecoli(package)) == (BASES, CODING)
    assert written(read_bsub(package)) == (BASES, SPLIT)


def test_the_other_strand_is_read_backwards_with_its_genes(tmp_path: Path) -> None:
    genome = read_ecoli(genomes(tmp_path).find(tmp_path))
    bases, coding = written(genome.other_strand())
    assert bases == BASES[::-1].translate(str.maketrans("ACGT", "TGCA"))
    assert coding == CODING[::-1].translate(str.maketrans("01", "10"))
    assert written(genome.other_strand().other_strand()) == written(genome)


def test_a_record_has_the_label_of_most_of_its_bases(tmp_path: Path) -> None:
    genome = read_ecoli(genomes(tmp_path).find(tmp_path))
    letters, labels = genome.records(6, first=1)
    assert letters.shape == (3, 6)
    assert labels.tolist() == [0, 1, 2]


def test_streams_of_words_are_drawn_the_same_way_again(tmp_path: Path) -> None:
    package = declaration(tmp_path).find(tmp_path)
    one, two = (languages.training_chunks(package, steps=3, seed=5) for _ in range(2))
    for left, right in zip(one, two, strict=True):
        assert left.letters.shape == (languages.RECORDS, languages.LANES, 24)
        assert left.letters.equal(right.letters)
        assert left.labels.equal(right.labels)
    letters, labels = languages.test_streams(package, switch=0.0)
    assert letters.shape == (500, 60, 24)
    assert np.array_equal(labels, np.repeat(labels[:, :1], 60, 1))  # nobody changes the language


def test_every_word_of_a_stream_is_of_its_language(tmp_path: Path) -> None:
    letters, labels = languages.test_streams(declaration(tmp_path).find(tmp_path), switch=0.25)
    words = letters.reshape(-1, 24)
    for word, label in zip(words[:300], labels.reshape(-1)[:300], strict=True):
        said = word.tobytes().rstrip(b"\0").decode()
        assert said in ("25", "last") or said.startswith(LANGUAGES[label])


def test_strands_are_cut_in_records_of_sixty() -> None:
    assert strands.SIZE % 3 == 0  # or the reading frame of a gene would move from record to record
    assert strands.INPUT.spec.fit == "refuse"
