"""A script for Debian's Python: an RTSP server whose cameras are controlled over stdin.

    /usr/bin/python3 gstreamer.py PORT LOGIN '[{"path": "gate", ...}, ...]'

Prints `serving` when it serves. Then it executes each JSON line on stdin,
[verb, path, arguments...], and answers with one line on stdout. A camera's pictures and times are
made here, and pushed into the one GStreamer pipeline that all viewers of its mount share.
"""

import json
import sys
import threading
import time
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
import blocks  # noqa: E402
from gi.repository import GLib, GObject, Gst, GstRtspServer  # noqa: E402
from mounts import RECORD_SETS, RECORD_UNIT, Mount  # noqa: E402

HOST = "127.0.0.1"
ROLE = "viewer"
REPORT_INTERVAL_NS = 500_000_000  # of RTCP; the default of 5 s would make the tests slow


def launch_line(mount: Mount) -> str:
    if mount.codec == "mjpeg":
        encoder = "jpegenc ! rtpjpegpay name=pay0 pt=26"
    elif mount.codec == "h265":
        encoder = (
            f"x265enc name=encoder tune=zerolatency key-int-max={mount.gop} speed-preset=ultrafast"
            f" option-string=log-level=none:frame-threads=1:ctu=16"
            f":slices={mount.slices}:hash={int(mount.checksums)} ! video/x-h265,profile=main"
            f" ! rtph265pay config-interval={mount.sets_every} name=pay0 pt=96"
        )
    else:
        tuning = f"bframes={mount.b_frames} b-adapt=false" if mount.b_frames else "tune=zerolatency"
        # constrained-baseline has no B-frames
        profile = "main" if mount.b_frames else "constrained-baseline"
        dump = f":dump-yuv={mount.dump}" if mount.dump else ""
        sliced = f"threads=1 option-string=slices={mount.slices}{dump}" if mount.slices else ""
        encoder = (
            f"x264enc name=encoder {tuning} key-int-max={mount.gop} speed-preset=superfast {sliced}"
            f" ! video/x-h264,profile={profile}"
            f" ! rtph264pay config-interval={mount.sets_every} name=pay0 pt=96"
        )
    return f"( appsrc name=camera is-live=true format=time max-bytes=0 ! {encoder} )"


class Recorder:
    """Writes what an encoder makes into a file."""

    def __init__(self, path: str, encoder: Any) -> None:
        self._file = open(path, "wb", buffering=0)  # noqa: PTH123, SIM115 - as long as the encoder
        self._sets: bytes | None = None
        encoder.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, self._record)

    def _record(self, pad: Any, info: Any) -> Any:
        sets = pad.get_current_caps().get_structure(0).get_value("codec_data")
        content = b"" if sets is None else _content(sets)
        if content != self._sets:
            self._write(RECORD_SETS, content)
            self._sets = content
        self._write(RECORD_UNIT, _content(info.get_buffer()))
        return Gst.PadProbeReturn.OK

    def _write(self, kind: bytes, content: bytes) -> None:
        self._file.write(len(content).to_bytes(4) + kind + content)


def _content(buffer: Any) -> bytes:
    return bytes(buffer.extract_dup(0, buffer.get_size()))


class Pipeline:
    """Puts the camera's times into a mount's pipeline, which is built for its first viewer."""

    def __init__(self, mount: Mount) -> None:
        self._mount = mount
        self._clock = GObject.new(Gst.SystemClock, clock_type=Gst.ClockType.REALTIME)
        self.camera: Any = None  # the source element, None while there is no viewer
        self.loses_every = 0
        self._packets = 0
        self.factory = GstRtspServer.RTSPMediaFactory()
        self.factory.set_launch(launch_line(mount))
        self.factory.set_shared(True)
        self.factory.set_clock(self._clock)
        self.factory.connect("media-configure", self._configure)

    def _configure(self, _factory: Any, media: Any) -> None:
        camera = media.get_element().get_by_name("camera")
        pipeline = media.get_element().get_parent()
        # times count from 1970, not from now, so that a clock that jumps back stays positive
        pipeline.set_start_time(Gst.CLOCK_TIME_NONE)
        pipeline.connect("deep-element-added", self._added)
        media.connect("unprepared", self._forget, camera)
        if self._mount.record:
            Recorder(self._mount.record, media.get_element().get_by_name("encoder"))
        self.camera = camera

    def _forget(self, _media: Any, camera: Any) -> None:
        if self.camera is camera:
            self.camera = None

    def _added(self, _pipeline: Any, _bin: Any, element: Any) -> None:
        names = {one.name for one in element.list_properties()}
        if "internal-session" in names:
            element.props.internal_session.props.rtcp_min_interval = REPORT_INTERVAL_NS
            element.connect("pad-added", self._thin_out)
        if "sync" in names:
            element.connect("notify::sync", self._send_at_once)
            self._send_at_once(element)

    def _thin_out(self, _session: Any, pad: Any) -> None:
        both = Gst.PadProbeType.BUFFER | Gst.PadProbeType.BUFFER_LIST
        if pad.get_name().startswith("send_rtp_src"):
            pad.add_probe(both, self._lose)
        elif pad.get_name().startswith("send_rtcp") and not self._mount.reports:
            pad.add_probe(both, lambda *_: Gst.PadProbeReturn.DROP)

    def _lose(self, pad: Any, info: Any) -> Any:
        packets = info.get_buffer_list()
        if packets is not None:  # of one picture: each is lost or sent on its own
            for n in range(packets.length()):
                pad.push(packets.get(n))
            return Gst.PadProbeReturn.DROP
        self._packets += 1
        lost = self.loses_every and self._packets % self.loses_every == 0
        return Gst.PadProbeReturn.DROP if lost else Gst.PadProbeReturn.OK

    def _send_at_once(self, sink: Any, *_changed: Any) -> None:
        """Send pictures at once: after a jump of the clock their times are far in the future."""
        if sink.props.sync:
            sink.props.sync = False


class Camera:
    """Takes pictures while the process lives, and pushes them while there is a viewer."""

    def __init__(self, mount: Mount) -> None:
        self.pipeline = Pipeline(mount)
        self._fps = mount.fps
        self._size = (mount.width, mount.height)
        self._muted = False
        self._ahead_s = 0.0
        self._frozen: blocks.Mark | None = None
        self._newest = blocks.Mark(0, 0)
        self._pushed = 0
        self._taken = threading.Condition()
        threading.Thread(target=self._take, daemon=True).start()

    def do(self, verb: str, *arguments: Any) -> int:
        """Execute a verb of `rtsp.RtspServer`; returns how many pictures were pushed so far."""
        if verb == "freeze":
            self._frozen = self._newest
        elif verb == "thaw":
            self._frozen = None
        elif verb in ("mute", "unmute"):
            self._muted = verb == "mute"
        elif verb == "resize":
            self._size = (arguments[0], arguments[1])
        elif verb == "jump":
            self._ahead_s += arguments[0]
        elif verb == "lose":
            self.pipeline.loses_every = arguments[0]
        elif verb == "wait":
            with self._taken:
                self._taken.wait_for(lambda: self._newest.number >= arguments[0])
        elif verb != "pushed":
            raise ValueError(verb)
        return self._pushed

    def _take(self) -> None:
        due_s = time.monotonic()
        while True:
            due_s += 1 / self._fps
            time.sleep(max(0.0, due_s - time.monotonic()))
            with self._taken:
                self._newest = blocks.Mark(self._newest.number + 1, time.time_ns() // 1_000_000)
                self._taken.notify_all()
            camera = self.pipeline.camera
            if camera is not None and not self._muted:
                self._push(camera, self._frozen or self._newest)

    def _push(self, camera: Any, mark: blocks.Mark) -> None:
        if camera.get_state(0).state != Gst.State.PLAYING:
            return  # taken before the first viewer's PLAY: it would arrive late
        width, height = self._size
        picture = blocks.draw(mark, width, height) + bytes([128]) * (width * height // 2)  # I420
        buffer = Gst.Buffer.new_wrapped(picture)
        buffer.pts = camera.get_current_running_time() + int(self._ahead_s * 1e9)
        caps = Gst.Caps.from_string(
            f"video/x-raw,format=I420,width={width},height={height},framerate={self._fps}/1"
        )
        camera.emit("push-sample", Gst.Sample.new(buffer, caps, None, None))
        self._pushed += 1


def protect(server: Any, factories: list[Any], login: str) -> None:
    """Require the login (HTTP Basic) of every viewer."""
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", ROLE)
    auth = GstRtspServer.RTSPAuth()
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*login.split(":", 1)), token)
    server.set_auth(auth)
    allowed = f"{ROLE}, media.factory.access=true, media.factory.construct=true"
    for factory in factories:
        factory.add_role_from_structure(Gst.Structure.from_string(allowed)[0])


def main(port: str, login: str, mounts: list[Mount]) -> None:
    Gst.init(None)
    for mount in mounts:
        Gst.parse_launch(launch_line(mount).strip("( )"))  # fails now if a plug-in is missing
    cameras = {mount.path: Camera(mount) for mount in mounts}
    server = GstRtspServer.RTSPServer()
    server.set_address(HOST)
    server.set_service(port)
    for path, camera in cameras.items():
        server.get_mount_points().add_factory(f"/{path}", camera.pipeline.factory)
    if login:
        protect(server, [camera.pipeline.factory for camera in cameras.values()], login)
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    threading.Thread(target=GLib.MainLoop().run, daemon=True).start()
    print("serving", flush=True)  # noqa: T201
    for line in sys.stdin:
        verb, path, *arguments = json.loads(line)
        print(json.dumps(cameras[path].do(verb, *arguments)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], [Mount(**mount) for mount in json.loads(sys.argv[3])])
