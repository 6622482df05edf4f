"""What RTSP servers are allowed to say, or say all the same: every picture comes."""

import pytest

from tests.cameras.films import Film, right
from tests.cameras.matrix.viewing import judged, viewing
from tests.cameras.rtp_server import Broadcast, Manner, sending

FILM = Film("h264", group=8, groups=4, cabac=True)
SECOND = "m=video 0 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\na=control:other\r\n"
ODD = "a=framerate:0.5\r\na=cliprect:0,0,240,320\r\na=framesize:96 320-240\r\na=control:video"
MANNERS = {
    "another video in the SDP": Manner(more=SECOND),
    "a codec in small letters": Manner(replaced=(("H264/", "h264/"),)),
    "no control of the video": Manner(replaced=(("a=control:video", "a=recvonly"),)),
    "a control for all": Manner(replaced=(("t=0 0", "t=0 0\r\na=control:*"),)),
    "a range": Manner(replaced=(("t=0 0", "t=0 0\r\na=range:npt=0-30.5"),)),
    "line feeds alone": Manner(replaced=(("\r\n", "\n"),)),
    "an odd rate and size": Manner(replaced=(("a=control:video", ODD),)),
    "requests of its own": Manner(asks=True),
    "no UDP": Manner(refuses_udp=True),
    "a login for all": Manner(logins=()),
    "a login that gets stale": Manner(logins=("SETUP", "PLAY")),
    "a session of two seconds": Manner(patience_s=2),
}


@pytest.mark.parametrize("manner", MANNERS.values(), ids=MANNERS)
def test_every_picture_comes(manner: Manner) -> None:
    seen = []
    with sending(Broadcast(FILM), manner) as server:
        for one in viewing(server.url.replace("//", "//u:p@"), "tcp"):
            if one is not None:
                seen.append(one)
                if (one[0] or 0) >= FILM.last_key:
                    break
    found = judged(seen, right(FILM), first=0, last=FILM.last_key)
    assert (found.right, found.wrong) == (found.sent, 0)
