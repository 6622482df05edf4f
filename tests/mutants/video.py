"""Faults of the video decoders: each hands on a wrong picture, or counts one wrongly."""

from tests.mutants.mutant import Mutant

VIDEO = "pipeline/media/video/"
UNITS = "tests/pipeline/media/video/test_unit_decoder.py"
STRICT = "tests/pipeline/media/video/test_strict_decoder.py"
FIELDS = "tests/pipeline/media/video/test_fields.py"
PACKETS = "tests/pipeline/media/video/test_packet_decoders.py"

VIDEO_MUTANTS = (
    Mutant(
        "a hole in frame_num is not seen",
        VIDEO + "followed_chains.py",
        "if first.frame_num != due and not sequence.gaps_allowed:",
        "if first.frame_num < 0:",
        (UNITS,),
    ),
    Mutant(
        "a decoder lives on after damage",
        VIDEO + "unit_decoder.py",
        "            self._decoder = renewed(self._decoder)\n",
        "            self._decoder.flush_buffers()\n",
        (UNITS,),
    ),
    Mutant(
        "a picture is shown before those decoded before it are known to be good",
        VIDEO + "unit_decoder.py",
        "                if len(self._ready) <= MOST_REORDERED:\n                    break\n",
        "                pass\n",
        (UNITS,),
    ),
    Mutant(
        "pictures that lead to a recovery point are shown",
        VIDEO + "followed_chains.py",
        "        if (first.poc_lsb - self._start.poc_lsb) % (2 * half) >= half:\n"
        "            return False\n",
        "",
        (UNITS,),
    ),
    Mutant(
        "a gradual refresh is not waited for",
        VIDEO + "followed_chains.py",
        "            if first.frame_num != self._recovery or not first.reference:\n"
        "                return False\n",
        "",
        (UNITS,),
    ),
    Mutant(
        "half a picture is shown",
        VIDEO + "unit_decoder.py",
        "return [*self._end_half(content), *self._feed(unit)]",
        "return self._feed(unit)",
        (FIELDS,),
    ),
    Mutant(
        "a keyframe in pieces is decoded piece by piece",
        VIDEO + "regrouping.py",
        "return first is not None and first.key and not first.begins",
        "return False",
        (PACKETS,),
    ),
    Mutant(
        "a picture in the packet of a keyframe's last piece is taken for a part of it",
        VIDEO + "regrouping.py",
        "if first is None or first.begins:",
        "if first is None or first.key:",
        (PACKETS,),
    ),
    Mutant(
        "bits that are left over at the end of a slice are ignored",
        VIDEO + "strictness.py",
        '"crccheck+bitstream+buffer+careful+aggressive+explode"',
        '"crccheck+bitstream+buffer+careful+explode"',
        (UNITS,),
    ),
    Mutant(
        "what the demuxer knows of losses is ignored",
        VIDEO + "unit_decoder.py",
        "if unit.damaged:",
        "if unit.damaged and not unit.content:",
        (UNITS,),
    ),
    Mutant(
        "the strict chain does not count units",
        VIDEO + "strict_chains.py",
        "if first.frame_num != due:",
        "if first.frame_num < 0:",
        (STRICT,),
    ),
    Mutant(
        "a keyframe without its parameter sets is believed",
        VIDEO + "strict_chains.py",
        '        self._sets = H264Sets(b"" if own else self._given)\n',
        "",
        (STRICT,),
    ),
)
