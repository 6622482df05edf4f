"""Faults of H.264 in the log: each gives other predictions or fates, most after a crash."""

from tests.mutants.mutant import Mutant

LANES = "pipeline/media/video/lanes/"
FILMS = "tests/properties/test_films.py"
FILM_REPLAY = "tests/properties/test_film_replay.py"
UNIT_PROTOCOL = "tests/properties/test_unit_protocol.py"
UNITS = "tests/pipeline/streams/test_units.py"
LANE = "tests/pipeline/media/video/lanes/test_unit_lane.py"

UNIT_MUTANTS = (
    Mutant(
        "a restored partition is not read from its oldest keyframe",
        "pipeline/worker/worker.py",
        "self._consumer.start(part.partition, partition.read_from)",
        "self._consumer.start(part.partition, part.next_offset)",
        (UNIT_PROTOCOL, FILMS),
    ),
    Mutant(
        "a keyframe is kept after a break",
        "pipeline/streams/stream.py",
        "        elif result.decoded and not result.whole:\n            self.keyframe = None\n",
        "",
        (UNITS,),
    ),
    Mutant(
        "a unit that is read again is stepped again",
        "pipeline/streams/partition.py",
        "            self._lanes.prime(record)\n            return None\n",
        "            self._lanes.prime(record)\n            absent = 0\n",
        (UNIT_PROTOCOL,),
    ),
    Mutant(
        "a unit is decoded again twice",
        "pipeline/streams/stream_lanes.py",
        "        self._primed_offset = record.offset + 1\n",
        "",
        (UNIT_PROTOCOL,),
    ),
    Mutant(
        "a chain goes on across a keyframe",
        LANES + "unit_chain.py",
        "        if frame.keyframe:\n            self._end()\n",
        "        if frame.keyframe:\n",
        (LANE, UNITS),
    ),
    Mutant(
        "a sampled unit is not decoded",
        "pipeline/streams/intake.py",
        "        if isinstance(record, Frame) and record.unit:\n            wanted",
        "        if isinstance(record, Frame) and record.unit and item.fate is None:\n"
        "            wanted",
        (UNITS,),
    ),
    Mutant(
        "a repeated unit reaches the decoder",
        LANES + "unit_chain.py",
        "if frame.seq is not None and last.seq is not None and frame.seq <= last.seq:",
        "if frame.seq is not None and last.seq is not None and frame.seq < 0:",
        (UNITS,),
    ),
    Mutant(
        "a new epoch does not end a chain",
        "pipeline/streams/stream_lanes.py",
        "CHAIN_ENDS = frozenset({Reset.NEW, Reset.EPOCH, Reset.ENDED})",
        "CHAIN_ENDS = frozenset({Reset.NEW, Reset.ENDED})",
        (UNITS,),
    ),
    Mutant(
        "units are left out before a keyframe that may be a repeat",
        LANES + "unit_lane.py",
        "                    if not job.certain:\n                        break\n",
        "",
        (LANE,),
    ),
    Mutant(
        "a unit that is wanted is left out",
        LANES + "unit_lane.py",
        "                if job.wanted:\n                    break\n",
        "",
        (LANE,),
    ),
    Mutant(
        "a keyframe that was left out is forgotten",
        "pipeline/streams/stream.py",
        "if result.key or (not result.decoded and unit.frame.keyframe):",
        "if result.key:",
        (UNIT_PROTOCOL,),
    ),
    Mutant(
        "a stream without memory begins with any unit",
        "pipeline/streams/intake.py",
        "enter(frame, waiting.now_ms, wanted=True, ends=True)",
        "enter(frame, waiting.now_ms, wanted=True, ends=False)",
        (UNITS, FILM_REPLAY),
    ),
    Mutant(
        "the age of a keyframe is not limited",
        LANES + "unit_chain.py",
        "if self._kept and not frame.keyframe and self._too_old(now_ms):",
        "if self._kept and not frame.keyframe and self._too_old(0):",
        (UNITS,),
    ),
    Mutant(
        "an older release's keyframe is believed",
        "pipeline/wire/snapshots.py",
        'meta.integer("keyframe_whole", at, offset) == offset',
        'meta.integer("keyframe_whole", at, offset) <= offset',
        ("tests/pipeline/wire/test_evolution.py",),
    ),
)
