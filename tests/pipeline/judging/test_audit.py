"""An audit finds every fault that is put into a correct log, and none in a correct log."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from pipeline.errors import CorruptStateError, NothingToAuditError
from pipeline.judging.audit import Audit, AuditReport, LifeReport
from pipeline.records import BadRecord, Changelog, Fate, Outgoing, Record, Reset
from pipeline.wire.changelog import Manifest
from pipeline.wire.dead_letters import dead_letter
from pipeline.wire.lives import Life
from pipeline.wire.skips import Skips
from tests.pipeline.predictions import Tape, remembered, resealed, tape

FATES = {Fate.PREDICTED: 6, Fate.DEAD_LETTERED: 2, Fate.ENDED: 1}
MANIFEST = Manifest(
    first_offset=0,
    next_offset=10,
    checkpoint=3,
    worker="w",
    generation=1,
    bundle="b" * 64,
    partitions=1,
    stream_time_ms=0,
    fates=FATES,
    absent=1,
)


def logged(outgoing: Outgoing, partition: int = 0, offset: int = 0) -> Record:
    return Record(partition, offset, 0, outgoing.key, outgoing.value, outgoing.headers)


def letter(offset: int, key: bytes = b"cam-3", topic: str = "frames") -> Record:
    bad = BadRecord(Record(0, offset, 0, key, b"Dear reader,"), "malformed", "no picture")
    return logged(dead_letter(bad, topic=topic, reason=bad.reason, error=bad.error))


class Log:
    """The records that an audit reads. They are correct; tests put the faults in.

    Offsets 0 to 9 of one partition: six predictions of two streams, two dead letters (6, 7), one
    end (3), one offset without a record (8).
    """

    def __init__(self) -> None:
        self.tape = Tape()
        for offset, stream in ((0, "a"), (1, "b"), (2, "a"), (4, "a"), (5, "b"), (9, "b")):
            reset = Reset.ENDED if offset == 4 else None
            self.tape.predict(offset, stream, reset)
        self.predictions = self.tape.records
        self.letters = [letter(6), replace(letter(7), offset=1)]
        self.manifest: Manifest | None = MANIFEST
        self.changelog: list[Outgoing] = []
        self.starts = {"frames": 0, "predictions": 0, "dead_letters": 0}
        self.repeats_allowed = False

    def remember(self, stream: str, chain: str, offset: int) -> None:
        """Add a stream's snapshot to the changelog."""
        self.changelog.append(remembered(stream, chain, offset).write(0))

    def audit(self) -> AuditReport:
        written = self.changelog + ([] if self.manifest is None else [self.manifest.write(0)])
        records = {out.key or b"": logged(out) for out in written}
        audit = Audit(
            {0: Changelog(records, self.starts["frames"], 10)},
            group="g",
            frames_topic="frames",
            predictions_start={0: self.starts["predictions"]},
            dead_letters_start={0: self.starts["dead_letters"]},
            repeats_allowed=self.repeats_allowed,
            names={},
        )
        for record in self.predictions:
            audit.enter_prediction(record)
        for record in self.letters:
            audit.enter_dead_letter(record)
        return audit.report()

    def kinds(self) -> list[str]:
        return [finding.kind for life in self.audit().lives for finding in life.findings]

    def count(self, fates: Mapping[Fate, int]) -> None:
        """Change the ledger so that its sum stays correct."""
        assert self.manifest is not None
        changed = {**FATES, **fates}
        absent = 10 - sum(changed.values())
        self.manifest = replace(self.manifest, fates=changed, absent=absent)


def altered(record: Record, old: bytes, new: bytes) -> Record:
    assert old in (record.value or b"")
    return replace(record, value=(record.value or b"").replace(old, new))


def test_a_sound_log_has_no_break() -> None:
    report = Log().audit()
    (life,) = report.lives
    assert report.breaks == 0
    assert (life.partition, life.life, life.newest, life.streams) == (0, 1, True, ("a", "b"))
    assert (life.predictions, life.repeats, life.ahead) == (6, 0, 0)
    assert report.json()["lives"][0]["predicted"] == {"ledger": 6, "found": 6, "log_begins": None}


def test_what_another_group_published_into_the_same_topics_is_counted_and_not_judged() -> None:
    log = Log()
    theirs = (("group", b"other"),)
    log.predictions = [
        *log.predictions,
        *(replace(one, headers=theirs) for one in log.predictions),
        Record(0, 99, 0, b"a", b"Dear reader,", theirs),
    ]
    log.letters = [
        *log.letters,
        *(replace(one, headers=(*one.headers, *theirs)) for one in log.letters),
    ]
    report = log.audit()
    assert report.breaks == 0
    assert [(one.group, one.kind, one.records) for one in report.others] == [
        ("other", "predictions", 7),
        ("other", "dead_letters", 2),
    ]


def test_letters_that_the_manifest_counts_as_omitted_are_not_missed() -> None:
    log = Log()
    del log.letters[1]
    assert log.kinds() == ["dead_lettered"]
    log.manifest = replace(MANIFEST, letters_omitted=1)
    assert log.kinds() == []


def drop_in_the_middle(log: Log) -> None:
    del log.predictions[1]


def drop_the_last(log: Log) -> None:
    del log.predictions[-1]


def repeat(log: Log) -> None:
    log.predictions.append(log.predictions[2])


def repeat_the_first_of_a_stream(log: Log) -> None:
    log.predictions.insert(1, log.predictions[0])


def alter_a_byte(log: Log) -> None:
    log.predictions[2] = altered(log.predictions[2], b'"label":"walk"', b'"label":"wolk"')


def alter_and_reseal(log: Log) -> None:
    value = altered(log.predictions[1], b'"label":"walk"', b'"label":"wolk"').value or b""
    log.predictions[1] = replace(log.predictions[1], value=resealed(value))


def swap(log: Log) -> None:
    log.predictions[4:] = log.predictions[:3:-1]


def misplace(log: Log) -> None:
    log.predictions[5] = altered(log.predictions[5], b'"partition":0', b'"partition":1')


def misname(log: Log) -> None:
    log.predictions[5] = replace(log.predictions[5], key=b"cam-9")


def restart(log: Log) -> None:
    forged = altered(log.tape.predict(9, "b", Reset.NEW), b'"reset":"new"', b'"reset":null')
    log.predictions[:] = [
        *log.predictions[:5],
        replace(forged, value=resealed(forged.value or b"")),
    ]


def write_a_letter_among_predictions(log: Log) -> None:
    log.predictions.append(Record(0, 6, 0, b"a", b"Dear reader,"))


def remember_another_prediction(log: Log) -> None:
    log.remember("b", "12345678", offset=9)


def miscount_a_fate(log: Log) -> None:
    log.manifest = replace(MANIFEST, fates=FATES | {Fate.LATE: 1})


def miscount_two_fates(log: Log) -> None:
    log.count({Fate.PREDICTED: 5, Fate.LATE: 1})


def lose_a_dead_letter(log: Log) -> None:
    del log.letters[0]


def repeat_a_dead_letter(log: Log) -> None:
    log.letters.append(log.letters[0])


def dead_letter_what_is_predicted(log: Log) -> None:
    log.letters[0] = letter(0, key=b"a")


def forget_an_end(log: Log) -> None:
    log.count({Fate.ENDED: 0})


def skip_without_telling(log: Log) -> None:
    log.count({Fate.SKIPPED: 1})


def skip_what_is_predicted(log: Log) -> None:
    log.changelog.append(Skips("a", ((1, 2),)).write(0))


def be_of_another_life(log: Log) -> None:
    log.manifest = replace(MANIFEST, life=2)


@pytest.mark.parametrize(
    ("plant", "kinds"),
    [
        (drop_in_the_middle, ["unlinked", "predicted"]),
        (drop_the_last, ["predicted"]),
        (repeat, ["repeated"]),
        (repeat_the_first_of_a_stream, ["repeated"]),
        (alter_a_byte, ["altered"]),
        (alter_and_reseal, ["unlinked"]),
        (swap, ["unlinked", "backwards"]),
        (misplace, ["misplaced", "predicted"]),
        (misname, ["misplaced"]),
        (restart, ["restarted"]),
        (write_a_letter_among_predictions, ["unreadable"]),
        (remember_another_prediction, ["memory"]),
        (miscount_a_fate, ["ledger"]),
        (miscount_two_fates, ["predicted"]),
        (lose_a_dead_letter, ["dead_lettered"]),
        (repeat_a_dead_letter, ["repeated"]),
        (dead_letter_what_is_predicted, ["two_fates"]),
        (forget_an_end, ["ended"]),
        (skip_without_telling, ["skipped"]),
        (skip_what_is_predicted, ["two_fates"]),
        (be_of_another_life, ["life"]),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_planted_fault_is_seen_for_what_it_is(
    plant: Callable[[Log], None], kinds: list[str]
) -> None:
    log = Log()
    plant(log)
    assert log.kinds() == kinds


def test_between_streams_order_is_nobodys_promise_to_readers() -> None:
    log = Log()
    log.predictions[1:3] = log.predictions[2:0:-1]
    assert log.audit().breaks == 0


def test_a_break_is_named_with_its_stream_and_frame() -> None:
    log = Log()
    alter_a_byte(log)
    (finding,) = log.audit().lives[0].findings
    assert (finding.partition, finding.life, finding.stream, finding.offset) == (0, 1, "a", 2)
    assert finding.message.startswith("the bytes do not give the chain")


def test_breaks_are_counted_even_where_too_many_to_be_told() -> None:
    log = Log()
    log.predictions += [Record(0, 6 + n, 0, b"a", b"") for n in range(300)]
    report = log.audit()
    assert (report.breaks, len(report.lives[0].findings)) == (300, 100)


def test_what_a_worker_committed_meanwhile_is_not_judged() -> None:
    log = Log()
    log.tape.predict(10, "a")
    log.tape.predict(11, "b")
    log.letters.append(letter(12))
    report = log.audit()
    assert (report.breaks, report.lives[0].ahead, report.lives[0].predictions) == (0, 2, 6)


def test_of_what_was_committed_meanwhile_altered_bytes_are_told_all_the_same() -> None:
    log = Log()
    log.predictions[-1] = altered(log.tape.predict(10, "a"), b"walk", b"wolk")
    assert log.kinds() == ["altered"]


@pytest.mark.parametrize(
    ("chain", "offset"), [("last", 9), ("00000000", 9), ("12345678", 10)], ids=str
)
def test_a_memory_that_goes_on_from_the_last_prediction_or_is_new_or_newer_is_sound(
    chain: str, offset: int
) -> None:
    log = Log()
    last = json.loads(log.predictions[-1].value or b"")["chain"]
    log.remember("b", last if chain == "last" else chain, offset)
    assert log.audit().breaks == 0


def test_dead_letters_of_other_topics_are_not_counted() -> None:
    log = Log()
    nowhere = (("source-topic", b"frames"), ("source-partition", b"first"))
    log.letters += [letter(4, topic="yard.frames"), Record(0, 9, 0, b"x", b"x", nowhere)]
    assert log.audit().breaks == 0


# --------------------------------------------------------------------------- low_latency delivery


def low_latency() -> Log:
    log = Log()
    log.repeats_allowed = True
    return log


def test_repeats_with_the_same_bytes_are_counted_where_delivery_allows_them() -> None:
    log = low_latency()
    log.predictions[3:3] = log.predictions[1:3]
    report = log.audit()
    assert (report.breaks, report.lives[0].repeats, report.lives[0].predictions) == (0, 2, 6)


def test_a_repeat_with_other_bytes_is_a_break_in_any_delivery() -> None:
    log = low_latency()
    value = altered(log.predictions[2], b'"label":"walk"', b'"label":"wolk"').value or b""
    log.predictions.append(replace(log.predictions[2], value=resealed(value)))
    assert log.kinds() == ["repeated"]


# ------------------------------------------------------------------------------------- retention


def test_where_retention_has_deleted_predictions_only_the_rest_is_judged() -> None:
    log = low_latency()
    del log.predictions[:3]
    log.starts["predictions"] = 3
    report = log.audit()
    assert report.breaks == 0
    assert report.json()["lives"][0]["predicted"] == {"ledger": 6, "found": 3, "log_begins": 3}


def test_behind_what_retention_has_left_a_missing_link_is_seen() -> None:
    log = Log()
    log.predictions[:] = [*log.predictions[1:2], *log.predictions[5:]]
    log.starts["predictions"] = 1
    assert log.kinds() == ["unlinked"]


def test_more_predictions_than_the_ledger_says_are_a_break_whatever_retention_did() -> None:
    log = Log()
    log.count({Fate.PREDICTED: 2, Fate.SAMPLED: 4})
    log.starts["predictions"] = 1
    assert log.kinds() == ["predicted"]


def test_where_retention_has_deleted_dead_letters_their_number_is_not_judged() -> None:
    log = Log()
    del log.letters[0]
    log.starts["dead_letters"] = 1
    report = log.audit()
    assert (report.breaks, report.json()["lives"][0]["dead_lettered"]["log_begins"]) == (0, 1)


def test_where_retention_has_deleted_frames_the_skipped_are_not_judged() -> None:
    log = Log()
    skip_without_telling(log)
    log.starts["frames"] = 5
    assert log.audit().breaks == 0


# ----------------------------------------------------------------------------------------- lives


def moved_back() -> Log:
    """Return two lives: all of `Log`, then offsets 2 to 5 again."""
    log = Log()
    log.changelog.append(Life(2, 2, 6, {0: 2}).write(0))
    log.tape.forget()
    for offset in range(2, 6):
        log.tape.predict(offset, "ab"[offset % 2])
    log.manifest = replace(
        MANIFEST, first_offset=2, next_offset=6, fates={Fate.PREDICTED: 4}, absent=0, life=2
    )
    return log


def test_the_newest_life_is_judged_by_its_ledger_and_earlier_ones_apart() -> None:
    report = moved_back().audit()
    first, second = report.lives
    assert report.breaks == 0
    assert (first.newest, first.predictions, first.predicted) == (False, 6, None)
    assert (second.newest, second.predictions, second.first_offset) == (True, 4, 2)


def test_the_chains_of_an_earlier_life_are_still_checked() -> None:
    log = moved_back()
    alter_a_byte(log)
    assert [(life.life, life.breaks) for life in log.audit().lives] == [(1, 1), (2, 0)]


def test_a_stream_that_is_not_new_in_a_new_life_is_a_break() -> None:
    log = moved_back()
    log.predictions[6:] = [
        replace(r, offset=6 + n) for n, r in enumerate(tape(range(1, 7)).records[1:5])
    ]
    assert log.kinds()[0] == "unlinked"


def test_dead_letters_belong_to_the_life_in_which_they_were_written() -> None:
    log = moved_back()
    log.letters.append(replace(letter(5), offset=2))
    assert log.kinds() == ["dead_lettered"]


def test_a_life_whose_beginning_is_still_in_the_log_is_provable() -> None:
    log = moved_back()
    del log.predictions[:6], log.letters[:]
    log.starts |= {"predictions": 6, "dead_letters": 2}
    newest: LifeReport = log.audit().lives[1]
    assert (newest.breaks, newest.predicted and newest.predicted.log_begins) == (0, None)


def test_a_worker_that_went_on_in_the_life_before_is_seen() -> None:
    log = moved_back()
    log.manifest = MANIFEST
    assert "life" in log.kinds()


# ------------------------------------------------------------------------------ a lost changelog


@pytest.mark.parametrize(
    ("group", "expected", "found"),
    [(b"g", 6, ["lost"]), (b"g", 0, []), (b"other", 6, []), (None, 6, [])],
    ids=["ours", "begun meanwhile", "theirs", "nobody's"],
)
def test_predictions_of_the_group_where_no_manifest_is_are_a_break(
    group: bytes | None, expected: int, found: list[str]
) -> None:
    audit = Audit(
        {
            n: Changelog(records, 0, 10)
            for n, records in enumerate(({b"m": logged(MANIFEST.write(0))}, {}))
        },
        group="g",
        frames_topic="frames",
        predictions_start={0: 0, 1: 0},
        dead_letters_start={},
        repeats_allowed=False,
        names={},
    )
    audit.expect_no_predictions(1, before=expected)
    headers = () if group is None else (("group", group),)
    for record in tape(range(3), partition=1).records:
        audit.enter_prediction(replace(record, headers=headers))
    assert [one.kind for life in audit.report().lives[1:] for one in life.findings] == found


# -------------------------------------------------------------------------------- no fit to judge


def test_without_any_manifest_there_is_nothing_to_audit() -> None:
    log = Log()
    log.manifest = None
    with pytest.raises(NothingToAuditError, match="Is the --group right"):
        log.audit()


@pytest.mark.parametrize("key", [b"m", b"l:2", b"k:cam-1:7", b"s:cam-1"])
def test_a_changelog_that_cannot_be_read_stops_the_audit(key: bytes) -> None:
    records: dict[bytes, Any] = {key: Record(0, 0, 0, key, b"Dear reader,")}
    with pytest.raises(CorruptStateError, match="changelog of partition 0 cannot be read"):
        Audit(
            {0: Changelog(records, 0, 10)},
            group="g",
            frames_topic="frames",
            predictions_start={},
            dead_letters_start={},
            repeats_allowed=False,
            names={},
        )
