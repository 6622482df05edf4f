"""The views of a live camera: one connection, and a state for each stream."""

from collections.abc import Iterator
from random import Random

from pipeline.cameras.camera_settings import CameraSettings
from pipeline.cameras.site import Site
from pipeline.cameras.values import State
from pipeline.clock import SystemClock
from tests.cameras.mjpeg import MjpegCamera, MjpegServer
from tests.cli.commands import until
from tests.pipeline.cameras.sink import CollectingSink


def test_views_share_one_connection_and_say_their_own_states() -> None:
    site = Site(environment={}, clock=SystemClock(), rng=Random(1))  # noqa: S311
    camera = CountedCamera("gate", fps=20)
    sink = CollectingSink()
    with MjpegServer(camera) as server:
        settings = CameraSettings.model_validate(
            {
                "url": server.url("gate"),
                "views": {"door": "0,0,0.5,1", "yard": "0.5,0,0.5,1", "far": "300,0,100,100"},
            }
        )
        site.arrange({"gate": settings}, sink)
        until(lambda: len(sink.of("yard")) > 3, "frames of yard")
        assert camera.viewers == 1
        far = site.tallies["far"]
        assert (far.state, far.captured_us) == (State.REFUSED, 0)
        assert far.why == "its crop 300,0,100,100 reaches beyond the picture, which is 320 x 240"
        assert site.tallies["yard"].state is State.LIVE
        site.stop(3.0)
    assert set(site.tallies) == {"door", "yard", "far"}
    assert sink.of("gate") == sink.of("far") == []
    door, yard = (sink.of(name)[:3] for name in ("door", "yard"))
    assert [(one.seq, one.captured_us) for one in door] == [
        (one.seq, one.captured_us) for one in yard
    ]


class CountedCamera(MjpegCamera):
    viewers = 0

    def parts(self) -> Iterator[bytes | None]:
        self.viewers += 1
        return super().parts()
