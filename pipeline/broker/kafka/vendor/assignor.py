"""The group's assignor: cooperative and sticky, and without claims of the past."""

from typing import Any

from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor


class GenerationAwareCooperativeSticky(CooperativeStickyAssignor):
    """K11: a member that lost its membership still claims its old partitions when it comes back.

    kafka-python 3.0 sends that claim without the generation it dates from, the leader believes
    the last claim, and a partition changes its owner twice in one round. Here every claim
    carries its generation and the newest wins. (In Java: KAFKA-14639, KAFKA-12984.)
    """

    version = 2  # of the subscription schema, the first that has room for a generation

    def metadata(self, topics: Any) -> Any:
        """Claim what we own, with the generation that it dates from."""
        claim = super().metadata(topics)
        return type(claim)(
            version=self.version,
            topics=claim.topics,
            user_data=b"",
            owned_partitions=claim.owned_partitions,
            generation_id=self.generation,
        )

    def assign(self, cluster: Any, members: Any) -> Any:
        """Remove all claims but the newest of each partition, then assign as the client does."""
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
