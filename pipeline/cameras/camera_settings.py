"""The settings of the camera process: from flags (one camera), a TOML file (many), environment."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    model_validator,
)

from pipeline.cameras.passing.obstacles import VideoChoice
from pipeline.cameras.passing.passage import KEYFRAME_S
from pipeline.cameras.views.camera_view import CameraView
from pipeline.cameras.views.rectangles import Rectangle
from pipeline.config import KafkaName, Number, OptionalKafkaName, load_settings
from pipeline.kafka_settings import KafkaSettings
from pipeline.media.address import without_secrets
from pipeline.media.opening.access import Access
from pipeline.media.opening.media import Transport
from pipeline.settings import Settings
from pipeline.wire.frames import is_stream_id

MOST_CAMERAS = 10_000
MOST_VIEWS = 32
MOST_MASKS = 64


def _read_size(value: object) -> object:
    """Parse `640x360` to (640, 360); other types pass unchanged, for pydantic to check."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"([1-9]\d{0,4})[x×]([1-9]\d{0,4})", value)  # noqa: RUF001
    if found is None:
        raise ValueError("wanted WIDTHxHEIGHT, such as 640x360")
    return int(found[1]), int(found[2])


Size = Annotated[tuple[int, int], BeforeValidator(_read_size)]


def _interval(value: float) -> float:
    """Refuse an interval of less than a second; 0 is none."""
    if 0 < value < 1:
        raise ValueError("wanted 0, or 1 and more")
    return value


def _read_rectangle(value: object) -> Rectangle:
    return value if isinstance(value, Rectangle) else Rectangle.of(value)


Part = Annotated[Rectangle, PlainValidator(_read_rectangle)]
Limit = Annotated[float, Field(gt=0, le=3600), Number]


class CameraSettings(BaseModel):
    """The settings of one camera. Times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, Field(min_length=1, max_length=4096, repr=False)]
    """A URL, a video device, a video file, a picture or a folder of pictures."""
    transport: Transport = "tcp"
    """Transport of RTSP: on a bad network `tcp` adds delay, `udp` loses packets."""
    redirects: bool = False
    """Follow the camera's server to other hosts: redirects, and parts of a playlist. By RTSP, and
    only by RTSP, the other host gets the login as well."""
    verify: bool = True
    """Require a valid certificate of `https`, `rtsps` and `rtmps`."""
    ca_file: Path | None = None
    """The PEM file of the camera's certificate or its authority; None: this machine's list."""
    loop: bool = False
    """Play a file or folder again when it ends."""
    realtime: bool = True
    """Play a file or folder at its own rate; otherwise as fast as the log accepts it."""
    fps: Annotated[float, Field(gt=0, le=1000), Number] | None = None
    """The most frames a second that are sent, None: all; and how often a URL of single pictures
    is requested, None: once a second."""
    size: Size | None = None
    """The largest size that is sent, as `640x360`; larger pictures keep their aspect ratio."""
    crop: Part | None = None
    """The part of the picture that is sent: `x,y,width,height`; None: all of it."""
    mask: Annotated[tuple[Part, ...], Field(max_length=MOST_MASKS)] = ()
    """The parts of the whole picture that are made black before anything is sent or kept."""
    views: Annotated[dict[str, Part], Field(min_length=1, max_length=MOST_VIEWS)] | None = None
    """Several parts of the picture, each a stream with its own name; there is no other stream."""
    quality: Annotated[int, Field(ge=1, le=100), Number] = 90
    """JPEG quality. A camera's own MJPEG is passed on unchanged if it fits within `size`."""
    video: VideoChoice = "jpeg"
    """`auto`: publish the camera's own H.264 where it can be stored, which needs workers that read
    it; `jpeg`: encode it here."""
    keyframe_s: Limit = KEYFRAME_S
    """With `auto`: H.264 whose keyframes are further apart is encoded here. No more than the
    workers' setting of this name."""
    connect_s: Limit = 10.0
    stall_s: Limit = 5.0
    """A connection without a good picture for this long is closed, and opened again."""
    frozen_s: Annotated[float, Field(ge=0, le=86_400), Number] = 30.0
    """A live picture that has not changed for this long is withheld until it does; 0: never."""

    @model_validator(mode="after")
    def _check_views(self) -> "CameraSettings":
        if self.views is None:
            return self
        if self.crop is not None:
            raise ValueError("has `crop` and `views`: write the crop as one more view")
        _refuse_other_than_ids("views", self.views)
        return self

    def streams(self, name: str) -> dict[str, CameraView]:
        """Return the views of the camera `name`, by the ids of their streams."""
        if self.views is None:
            return {name: CameraView(self.crop, self.mask)}
        return {stream: CameraView(crop, self.mask) for stream, crop in self.views.items()}

    @property
    def access(self) -> Access:
        """What the camera's server may do, and how it is trusted."""
        return Access(redirects=self.redirects, verify=self.verify, ca_file=self.ca_file)


class CamerasConfig(KafkaSettings, Settings):
    """The settings of one process and its cameras. Times in seconds, sizes in bytes."""

    frames_topic: KafkaName = "frames"
    cameras_topic: OptionalKafkaName = "cameras"
    """The topic for the states of cameras; empty: they are not published."""
    states_s: Annotated[float, Field(ge=0, le=3600), Number, AfterValidator(_interval)] = 60.0
    """How often a camera's state is published that did not change; 0: never, nor its changes."""
    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int, Field(ge=0, le=65_535), Number] = 9109
    """Where /metrics, /healthz and /readyz are served; 0 takes any free port."""
    spool: Path | None = None
    """File in which frames wait while the broker is away. A named file outlives the process; None
    is a temporary file."""
    spool_s: Annotated[float, Field(gt=0, le=86_400), Number] = 60.0
    spool_bytes: Annotated[int, Field(ge=1 << 20), Number] = 1 << 30
    camera: Annotated[
        dict[str, CameraSettings], Field(max_length=MOST_CAMERAS, default_factory=dict)
    ]

    @model_validator(mode="before")
    @classmethod
    def _spread_defaults(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Apply the keys of `[defaults]` to every camera that does not set them itself."""
        defaults = values.pop("defaults", {})
        cameras = values.get("camera", {})
        if isinstance(defaults, dict) and isinstance(cameras, dict):
            values["camera"] = {
                name: defaults | one if isinstance(one, dict) else one
                for name, one in cameras.items()
            }
        return values

    @model_validator(mode="after")
    def _check_topics(self) -> "CamerasConfig":
        if self.cameras_topic == self.frames_topic:
            raise ValueError(
                f"cameras_topic and frames_topic are both {self.frames_topic!r}: workers would take"
                " the states of cameras for frames"
            )
        return self

    @model_validator(mode="after")
    def _check_names(self) -> "CamerasConfig":
        _refuse_other_than_ids("camera", self.camera)
        streams = Counter(stream for n, one in self.camera.items() for stream in one.streams(n))
        twice = [stream for stream, times in streams.items() if times > 1]
        if twice:
            raise ValueError(
                f"more than one camera or view is called {', '.join(sorted(twice))}: each is a"
                " stream and needs a name of its own"
            )
        if len(streams) > MOST_CAMERAS:
            raise ValueError(
                f"cameras and views make {len(streams)} streams; at most {MOST_CAMERAS}"
            )
        return self


def _refuse_other_than_ids(what: str, names: Iterable[str]) -> None:
    wrong = sorted(name for name in names if not is_stream_id(name))
    if wrong:
        raise ValueError(
            f"{what} names are stream ids, 1 to 200 characters of A-Z a-z 0-9 . _ : -;"
            f" not {', '.join(repr(without_secrets(name)) for name in wrong)}"
        )


def load_cameras(file: Path | None, flags: Mapping[str, Any]) -> CamerasConfig:
    """Read the settings of a camera process: see `load_settings`."""
    return load_settings(CamerasConfig, file, flags, known=_known)


def _known(place: Sequence[str]) -> Iterable[str]:
    """Return the names of settings at a place in the file: of a camera, or of the process."""
    if place[0] == "camera" and len(place) > 1:
        return CameraSettings.model_fields
    return [*CamerasConfig.model_fields, "defaults"]
