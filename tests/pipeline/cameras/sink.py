"""What cameras post, kept."""

from pipeline.broker.shots import Shot


class CollectingSink:
    def __init__(self) -> None:
        self.shots = list[Shot]()

    def post(self, shot: Shot) -> bool:
        self.shots.append(shot)
        return True

    offer = post

    def of(self, name: str) -> list[Shot]:
        return [shot for shot in self.shots if shot.stream == name]
