"""Faults of a growth: each forgets, forks or loses something when streams move."""

from tests.mutants.mutant import Mutant

GROWTH = "tests/properties/test_growth.py"
RESTORER = "tests/pipeline/delivery/test_restorer.py"
GROWING = "pipeline/judging/growing.py"
COMMAND = "pipeline/offline/group_growth.py"

GROWTH_MUTANTS = (
    Mutant(
        "a stream that moves is still remembered where it was",
        GROWING,
        '    return moved, mark.write(source), tombstone(source, moved.key or b"")\n',
        "    return moved, mark.write(source), mark.write(source)\n",
        (GROWTH,),
    ),
    Mutant(
        "a stream that has moved leaves no mark",
        GROWING,
        '    return moved, mark.write(source), tombstone(source, moved.key or b"")\n',
        '    gone = tombstone(source, moved.key or b"")\n    return moved, gone, gone\n',
        (GROWTH,),
    ),
    Mutant(
        "a new partition begins before streams are moved there",
        "pipeline/delivery/restore.py",
        "        if awaited(grown, number) is not None:\n            return None\n",
        "",
        (GROWTH,),
    ),
    Mutant(
        "a new partition begins at the end of its frames",
        GROWING,
        "        Manifest.beginning(0, bundle=before.bundle, partitions=growth.after),\n",
        "        Manifest.beginning(1, bundle=before.bundle, partitions=growth.after),\n",
        (GROWTH,),
    ),
    Mutant(
        "streams are moved though records of them are unread",
        COMMAND,
        "            for one in stale(records, growth)\n        ]\n",
        "            for one in stale(records[:0], growth)\n        ]\n",
        (GROWTH,),
    ),
    Mutant(
        "a growth does not wait for producers",
        COMMAND,
        "            for one in stale(records, growth):\n                self._stale[",
        "            for one in stale(records[:0], growth):\n                self._stale[",
        (GROWTH,),
    ),
    Mutant(
        "new changelogs get no mark",
        COMMAND,
        "            self._log.write([growth.write(number) for number in new])\n",
        "            pass\n",
        (GROWTH,),
    ),
    Mutant(
        "a stream's memory moves without its chain",
        GROWING,
        "replace(stream, offset=-1, keyframe=None)",
        'replace(stream, offset=-1, keyframe=None, chain="0" * 8)',
        (GROWTH,),
    ),
    Mutant(
        "a growth that was begun is begun again",
        COMMAND,
        "            if _mark_of(changelogs[target], growth).arrival is None:\n",
        "            if changelogs[target]:\n",
        (GROWTH,),
    ),
    Mutant(
        "a held partition is never looked at again",
        "pipeline/delivery/restorer.py",
        "            self._reading |= self._due()\n",
        "",
        (RESTORER, GROWTH),
    ),
)
