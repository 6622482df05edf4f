"""The group's assignor: cooperative and sticky; it ignores outdated claims."""

from typing import Any

from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor


class GenerationAwareCooperativeSticky(CooperativeStickyAssignor):
    """K11: a member that lost its membership still claims its old partitions when it comes back.

    kafka-python 3.0 sends that claim without its generation, the leader accepts the last claim that
    it reads, and a partition changes its owner twice in one round. Here every claim carries its
    generation and the newest claim wins. (In Java: KAFKA-14639, KAFKA-12984.)
    """

    version = 2  # the first version of the subscription schema with a generation field

    def metadata(self, topics: Any) -> Any:
        """Claim the partitions that we own, with the generation of the assignment."""
        claim = super().metadata(topics)
        return type(claim)(
            version=self.version,
            topics=claim.topics,
            user_data=b"",
            owned_partitions=claim.owned_partitions,
            generation_id=self.generation,
        )

    def assign(self, cluster: Any, members: Any) -> Any:
        """Remove all claims except the newest of each partition, then assign as the client does."""
        newest: dict[tuple[str, int], tuple[int, str]] = {}
        for member in members:
            for topic in member.metadata.owned_partitions or ():
                for partition in topic.partitions:
                    claim = (member.metadata.generation_id, member.member_id)
                    place = (topic.topic, partition)
                    newest[place] = max(newest.get(place, (-2, "")), claim)
        for member in members:
            for topic in member.metadata.owned_partitions or ():
                topic.partitions = [
                    partition
                    for partition in topic.partitions
                    if newest[topic.topic, partition][1] == member.member_id
                ]
        return super().assign(cluster, members)
