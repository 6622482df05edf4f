"""The faults: each is a small change that breaks a promise without any error message."""

from tests.mutants.cameras import CAMERA_MUTANTS
from tests.mutants.gpu import GPU_MUTANTS
from tests.mutants.groups import GROUP_MUTANTS
from tests.mutants.growth import GROWTH_MUTANTS
from tests.mutants.mutant import Mutant
from tests.mutants.units import UNIT_MUTANTS
from tests.mutants.video import VIDEO_MUTANTS

ALONE = "tests/properties/test_alone.py"
PROTOCOL = "tests/properties/test_protocol.py"
CONTRACT = "tests/contracts/test_broker.py"
IDENTITY = "tests/properties/test_identity.py"


MUTANTS = (
    Mutant(
        "what was fetched before a pause is not handed back",
        "pipeline/broker/kafka/vendor/fetching/turns.py",
        "        fetcher._next_partition_records = None\n        if in_hand:",
        "        if in_hand:",
        (CONTRACT,),
    ),
    Mutant(
        "what was just fetched always comes first",
        "pipeline/broker/kafka/vendor/fetching/turns.py",
        "        if not self._held_back and any(",
        "        if any(",
        (CONTRACT,),
    ),
    Mutant(
        "offsets run ahead of the state",
        "pipeline/delivery/freezer.py",
        "            next_offset=partition.next_offset,\n            checkpoint",
        "            next_offset=partition._arrived_offset,\n            checkpoint",
        (PROTOCOL, ALONE),
    ),
    Mutant(
        "the manifest is left out now and then",
        "pipeline/delivery/freezer.py",
        "            manifest.write(number),\n",
        "            *([] if partition.checkpoint % 3 == 2 else [manifest.write(number)]),\n",
        (PROTOCOL, ALONE),
    ),
    Mutant(
        "what was committed is committed again after an error",
        "pipeline/delivery/committer.py",
        "if manifest is not None and manifest.checkpoint_id == part.manifest.checkpoint_id:\n"
        "                settled.append(self._settled(order, part, committed=True))",
        "if manifest is not None and manifest.checkpoint_id == part.manifest.checkpoint_id:\n"
        "                again.append(part)",
        (PROTOCOL,),
    ),
    Mutant(
        "a frame is stepped twice",
        "pipeline/streams/predictor.py",
        "            if stepping and self.features is not None:\n",
        "            if stepping and self.features is not None and stepping[0].memory.frames:\n"
        "                rows = [s.stream.row for s in stepping if s.stream.row is not None]\n"
        "                self._engine.step(self.features, [s.pick for s in stepping], rows)\n"
        "            if stepping and self.features is not None:\n",
        ("tests/cli/test_samples.py",),
    ),
    Mutant(
        "a producer is kept after an error",
        "pipeline/delivery/committer.py",
        "_Renewing(order, refused, self._writes.submit(self._writer.renew))",
        "_Renewing(order, refused, self._writes.submit(lambda: None))",
        (PROTOCOL, ALONE),
    ),
    Mutant(
        "a restore ends at the last stable offset",
        "pipeline/broker/kafka/readers/span_reader.py",
        "            ends = self._ends.end_offsets(places, timeout_ms=ENDS_MS)\n",
        "            ends = self._records.end_offsets(places, timeout_ms=ENDS_MS)\n",
        (f"{CONTRACT}::test_a_changelog_is_not_at_its_end_while_somebody_is_still_writing",),
    ),
    Mutant(
        "h is written where c belongs",
        "pipeline/delivery/memories.py",
        "{name: np.stack([tensors[name] for _, tensors in kept]) for name in kept[0][1]}",
        "{name: np.stack([tensors[other] for _, tensors in kept])\n"
        "         for name, other in zip(kept[0][1], reversed(list(kept[0][1])), strict=True)}",
        (PROTOCOL, ALONE),
    ),
    Mutant(
        "frames in flight are dropped on a revoke, and reading goes on behind them",
        "pipeline/worker/worker.py",
        "self._consumer.start(part.partition, partition.read_from)",
        "self._consumer.start(part.partition, partition.read_from + (part.number > 0))",
        (PROTOCOL, ALONE),
    ),
    Mutant(
        "the check for duplicates is off",
        "pipeline/streams/admission.py",
        "        if _repeats(last.seen_us, last.seq, frame.seq, frame, recent=recent):\n",
        "        if recent and last.seq < 0:\n",
        ("tests/pipeline/streams/test_admission.py",),
    ),
    Mutant(
        "a fate is not counted",
        "pipeline/streams/partition.py",
        "            self.fates[item.final_fate] += 1\n",
        "            self.fates[item.final_fate] += item.fate is not Fate.SAMPLED\n",
        ("tests/pipeline/streams/test_partition.py", ALONE),
    ),
    Mutant(
        "the chain is not restored",
        "pipeline/streams/stream.py",
        "        stream.chain = snapshot.chain\n",
        "        stream.chain = NEW_CHAIN\n",
        (PROTOCOL, ALONE),
    ),
    Mutant(
        "the end of a stream is ignored",
        "pipeline/streams/predictor.py",
        "            stream.require_reset(Reset.ENDED)\n",
        "            pass\n",
        (PROTOCOL, "tests/chaos/test_oracle.py"),
    ),
    Mutant(
        "admission asks the clock on the wall",
        "pipeline/streams/admission.py",
        "    recent = abs(frame.captured_us - last.seen_us) <= RECENT_US\n",
        "    import time\n\n    recent = abs(time.time_ns() // 1000 - last.seen_us) <= RECENT_US\n",
        ("tests/pipeline/streams/test_admission.py",),
    ),
    Mutant(
        "a silent re-join goes unnoticed",
        "pipeline/worker/membership.py",
        "        if self._member_id is not None and numbers:\n",
        "        if self._member_id is None and numbers:\n",
        (PROTOCOL,),
    ),
    Mutant(
        "a join that ended between two polls is thrown away",
        "pipeline/broker/kafka/vendor/coordinator.py",
        "        coordinator.__class__ = cls\n",
        '        names = ("need_rejoin", "join_group_async")\n'
        "        vendor = {name: getattr(ConsumerCoordinator, name) for name in names}\n"
        '        coordinator.__class__ = type("Hasty", (cls,), vendor)\n',
        (f"{CONTRACT}::test_a_member_that_is_busy_between_short_polls_joins_all_the_same",),
    ),
    Mutant(
        "a worker with a slot does not leave its group at a stop",
        "pipeline/broker/kafka/vendor/coordinator.py",
        "        return self._leaving or bool(",
        "        return bool(",
        (
            "tests/faults/test_failover.py::test_a_stopped_worker_leaves_its_slot_and_the_others"
            "_go_on_before_its_session_ends",
        ),
    ),
    Mutant(
        "skipped frames are not told",
        "pipeline/delivery/freezer.py",
        "            *(skips.write(number) for skips in closed.skipped.values()),\n",
        "",
        (
            PROTOCOL,
            f"{ALONE}::test_with_the_latest_frames_only_it_answers_as_if_the_skipped_were"
            "_never_seen",
        ),
    ),
    Mutant(
        "with low latency a checkpoint overtakes its predictions",
        "pipeline/worker/worker.py",
        "when=lambda: self._outbox.departed >= before",
        "when=lambda: before >= 0",
        (PROTOCOL,),
    ),
    Mutant(
        "attempts are not counted",
        "pipeline/delivery/freezer.py",
        "            attempts=closed.attempts,\n",
        "            attempts=0,\n",
        (PROTOCOL,),
    ),
    Mutant(
        "a topic is its name",
        "pipeline/wire/belongings/identity.py",
        "bool(self.id and topic_id) and self.id != topic_id",
        "bool(self.id and topic_id) and self.id == ''",
        (IDENTITY,),
    ),
    Mutant(
        "a topic that is made anew under a worker is not noticed",
        "pipeline/delivery/topic_watch.py",
        "        return sorted(number for number, roles in others.items() if roles)\n",
        "        return sorted(number for number, roles in others.items() if number < 0)\n",
        (IDENTITY,),
    ),
    Mutant(
        "a lost changelog is a new group",
        "pipeline/delivery/memory_checks/remains_check.py",
        "    if remains.committed is not None:\n",
        "    if remains.committed is not None and not own:\n",
        (IDENTITY,),
    ),
    Mutant(
        "a group that has predicted without a manifest is a new one",
        "pipeline/delivery/memory_checks/remains_check.py",
        "    elif remains.predicted is not None:\n",
        "    elif remains.predicted is not None and not own:\n",
        (IDENTITY,),
    ),
    Mutant(
        "rules are not compared",
        "pipeline/delivery/memory_checks/identity_check.py",
        "if rule in before.rules and before.rules[rule] != value",
        "if rule in before.rules and value < 0",
        (IDENTITY,),
    ),
    Mutant(
        "a log that looks shorter is read where it ends",
        "pipeline/delivery/restore.py",
        "    if manifest.next_offset > changelog.log_end:\n",
        "    if manifest.next_offset > changelog.log_end + 10**6:\n",
        (IDENTITY,),
    ),
    Mutant(
        "frames of a release that compares nothing count as decided by the rules",
        "pipeline/delivery/memory_checks/identity_check.py",
        "exact = same_rules and before.offset == manifest.next_offset",
        "exact = same_rules",
        ("tests/pipeline/delivery/test_identity_check.py",),
    ),
    *CAMERA_MUTANTS,
    *VIDEO_MUTANTS,
    *UNIT_MUTANTS,
    *GPU_MUTANTS,
    *GROUP_MUTANTS,
    *GROWTH_MUTANTS,
)
