"""Packages of data in the form of the published ones, small and made up."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

from engines.train.letters.declaration import CODES
from engines.train.letters.genomes import BSUB, ECOLI, FOLDER
from engines.train.letters.packages import Package

BASES = "ACGTACGTAACC" * 2
GFF = f"""##gff-version 3
U1\tx\tregion\t1\t24\t.\t+\t.\tID=r
U1\tx\tCDS\t2\t7\t.\t+\t0\tID=a
U1\tx\tCDS\t9\t14\t.\t-\t0\tID=b
U1\tx\tCDS\t20\t22\t.\t+\t0\tID=c;pseudo=true
##FASTA
>U1
{BASES[:10]}
{BASES[10:]}
"""
GENBANK = f"""LOCUS       NC_1  24 bp
FEATURES             Location/Qualifiers
     source          1..24
     CDS             join(2..3,
                     5..7)
                     /gene="a"
     CDS             complement(9..14)
                     /note="with
                     20..24 in its words"
     CDS             20..22
                     /pseudo
ORIGIN
        1 {BASES[:10].lower()} {BASES[10:20].lower()}
       21 {BASES[20:].lower()}
//
"""


def declaration(folder: Path) -> Package:
    """A package with three articles of six words in each language."""
    path = folder / "declaration.tgz"
    with tarfile.open(path, "w:gz") as files:
        for language, code in CODES.items():
            words = " ".join(f"{language}{n}" for n in range(6))
            articles = (
                f'<article data-number="{n}"><p>{words}</p><li>{n}&nbsp;last</li></article>'
                for n in (1, 2, 25)
            )
            content = f"<p>Pre&auml;mble {language}</p>{''.join(articles)}".encode()
            about = tarfile.TarInfo(f"package/declaration/{code}.html")
            about.size = len(content)
            files.addfile(about, io.BytesIO(content))
    return package_of(path)


def genomes(folder: Path) -> Package:
    """A package with two sequences of 24 bases and their genes."""
    path = folder / "genomes.zip"
    with zipfile.ZipFile(path, "w") as files:
        files.writestr(f"{FOLDER}/{ECOLI}", GFF)
        files.writestr(f"{FOLDER}/{BSUB}", GENBANK)
    return package_of(path)


def package_of(path: Path) -> Package:
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    return Package(path.name, path.as_uri(), found, len(content))
