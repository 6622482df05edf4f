"""Faults of the camera process: each gives wrong data, or lets one camera affect another."""

from tests.mutants.mutant import Mutant

RELAY = "tests/pipeline/cameras/test_relay.py"
FEED = "tests/pipeline/cameras/test_feed.py"
TIMING = "tests/pipeline/cameras/test_timing.py"
VIEWS = "tests/pipeline/cameras/views/test_views.py"
SHUTTER = "tests/pipeline/cameras/test_shutter.py"
SPOOL = "tests/pipeline/cameras/test_spool.py"
LANE = "tests/pipeline/cameras/test_lane.py"
PASSAGE = "tests/pipeline/cameras/test_passage.py"
STORABLE = "tests/pipeline/media/video/test_storable_chain.py"
OPENING = "tests/pipeline/media/opening"
PACING = "tests/pipeline/cameras/test_pacing.py"

CAMERA_MUTANTS = (
    Mutant(
        "new shots overtake those in the spool",
        "pipeline/cameras/relay.py",
        "if self._open and not self._spool.frames and not numbered:",
        "if self._open:",
        (RELAY,),
    ),
    Mutant(
        "what was on its way is forgotten when the broker fails",
        "pipeline/cameras/relay.py",
        "        self._sent_bytes = 0\n        self._keep(unanswered)\n",
        "        self._sent_bytes = 0\n",
        (RELAY,),
    ),
    Mutant(
        "the spool drops its newest",
        "pipeline/cameras/spool.py",
        'length(content), kept_us from shots order by number"',
        'length(content), kept_us from shots order by number desc"',
        (SPOOL,),
    ),
    Mutant(
        "a full spool leaves units without those before them",
        "pipeline/cameras/spool.py",
        "if due or stream in cut:",
        "if due:",
        (SPOOL,),
    ),
    Mutant(
        "units that come after a dropped one are sent",
        "pipeline/cameras/lane.py",
        "        return self._cut.get(shot.stream)\n",
        "        return None\n",
        (LANE, RELAY),
    ),
    Mutant(
        "a full lane drops one unit at a time",
        "pipeline/cameras/lane.py",
        "while self._shots and self._shots[0].continues:",
        "while False:",
        (LANE,),
    ),
    Mutant(
        "units go on after a lost one",
        "pipeline/cameras/passing/passage.py",
        "not (unit.key or unit.number == self._next)",
        "False",
        (PASSAGE,),
    ),
    Mutant(
        "a camera that does not fit is tried again at once",
        "pipeline/cameras/passing/passage.py",
        "not 0 <= at_us - self._ended_us < _AGAIN_US",
        "True",
        (PASSAGE,),
    ),
    Mutant(
        "JPEGs and units are mixed in one epoch",
        "pipeline/cameras/capture/shutter.py",
        "            self._begin(NewEpoch.CONTENT, at_us)\n",
        "            pass\n",
        (SHUTTER,),
    ),
    Mutant(
        "a still picture withholds units in the middle of a group",
        "pipeline/cameras/capture/shutter.py",
        "self._withheld = still if chosen.key else self._withheld",
        "self._withheld = still",
        (SHUTTER,),
    ),
    Mutant(
        "a unit that gave another picture than its own is stored",
        "pipeline/media/video/storable_chain.py",
        "pictures[0].picture.pts != unit.pts",
        "False",
        (STORABLE,),
    ),
    Mutant(
        "a keyframe is stored without its parameter sets",
        "pipeline/media/video/storable_chain.py",
        'b"" if own else sets',
        'b""',
        (STORABLE,),
    ),
    Mutant(
        "a reconnect begins another epoch",
        "pipeline/cameras/capture/shutter.py",
        "        self._clock.connected()\n",
        "        self._clock.connected()\n        self._epoch += 1\n",
        (FEED,),
    ),
    Mutant(
        "damaged pictures keep a connection alive",
        "pipeline/cameras/feed.py",
        "                self._leave_out(picture, waiting=waits)\n",
        "                self._leave_out(picture, waiting=waits)\n                seen_s = now_s\n",
        (FEED,),
    ),
    Mutant(
        "a network that stands still moves the time of capture",
        "pipeline/cameras/capture/arrivals_map.py",
        "self.offset_us += min(SLEW * elapsed_us, max(0.0, target_us - self.offset_us))",
        "self.offset_us = difference_us",
        (TIMING,),
    ),
    Mutant(
        "any wall clock is believed",
        "pipeline/cameras/capture/sender_reports.py",
        "if not -PAST_US <= offset_us - ours_us <= FUTURE_US:",
        "if offset_us < 0:",
        (TIMING,),
    ),
    Mutant(
        "a setting of our own clock is not seen",
        "pipeline/cameras/views/camera_stream.py",
        "arrived_us=arrived_us, steady_us=steady_us)",
        "arrived_us=arrived_us)",
        (FEED,),
    ),
    Mutant(
        "a picture that was cut keeps its camera's JPEG",
        "pipeline/cameras/views/camera_view.py",
        "jpeg=None,",
        "jpeg=self.picture.jpeg,",
        (VIEWS,),
    ),
    Mutant(
        "pixels of a mask hold for a picture of any size",
        "pipeline/cameras/views/camera_view.py",
        "if self.view.of_pixels and self._size",
        "if self._size is None and self._size",
        (VIEWS,),
    ),
    Mutant(
        "a jump of the time stamps is believed at once",
        "pipeline/cameras/capture/stamp_checks.py",
        "return len(self._differences_us) == BELIEVED and apart_us <= AGREE_US",
        "return apart_us <= AGREE_US",
        (TIMING,),
    ),
    Mutant(
        "stamps that run slow are trusted for ever",
        "pipeline/cameras/capture/arrivals_map.py",
        "return ClockFault.SLOW if self._late.stays else None",
        "return None",
        (TIMING,),
    ),
    Mutant(
        "time stamps that libav invents date pictures",
        "pipeline/cameras/capture/live.py",
        "timed=media.container.format.name not in INVENTED",
        "timed=True",
        ("tests/pipeline/cameras/test_live.py",),
    ),
    Mutant(
        "a frozen picture is compared with the one before",
        "pipeline/cameras/capture/still.py",
        "        if self._reference is None or _differ",
        "        if self._reference is not None and not _differ(self._reference, cells):\n"
        "            self._since_us = at_us\n"
        "        if self._reference is None or _differ",
        (SHUTTER, FEED),
    ),
    Mutant(
        "a burst is dated when it is handed out",
        "pipeline/cameras/capture/pacing.py",
        "            late_us=late_us,\n",
        "",
        (PACING,),
    ),
    Mutant(
        "a password is shown",
        "pipeline/media/address.py",
        "    if _is_file(text):\n",
        "    if True:\n",
        ("tests/pipeline/media/test_address.py",),
    ),
    Mutant(
        "a web server sends us to any host",
        "pipeline/media/opening/over_http/http_session.py",
        "        if self._is_own(place):\n",
        "        if self._is_own(place) or not self._access.redirects:\n",
        (f"{OPENING}/test_hostile_http.py",),
    ),
    Mutant(
        "any format is read",
        "pipeline/media/opening/permitted.py",
        '"format_whitelist": self.formats',
        '"analyzeduration": "0"',
        (f"{OPENING}/test_hostile_http.py", f"{OPENING}/test_permitted.py"),
    ),
    Mutant(
        "an RTSP server sends us to any host",
        "pipeline/media/opening/permitted.py",
        '"rtsp": Permitted("tcp", "rtsp")',
        '"rtsp": Permitted("tcp,rtsp", "rtsp")',
        (f"{OPENING}/test_hostile_rtsp.py",),
    ),
    Mutant(
        "libav verifies no certificate",
        "pipeline/media/opening/access.py",
        '"tls_verify": "1"',
        '"tls_verify": "0"',
        (f"{OPENING}/test_tls.py",),
    ),
    Mutant(
        "the name of a file is a protocol",
        "pipeline/media/opening/media.py",
        'f"file:{address.url}"',
        "address.url",
        (f"{OPENING}/test_permitted.py",),
    ),
)
