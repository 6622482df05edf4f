"""Nothing leaves the machine unasked: what commands reach and write, as strace sees it.

`make evidence` shows what was seen.
"""

import signal
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cli.commands import SCRIPT, Group
from tests.cli.watched import Watch, assert_private, outside_the_cache, parse, python


@pytest.fixture
def site(clip: Path) -> Iterator[str]:
    """Serve the clip: `host:port`."""

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=clip.parent))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_run_reaches_nothing_for_a_file(watch: Watch, tiny: Path, clip: Path) -> None:
    run = watch(SCRIPT, "run", clip, "--bundle", tiny, "--output", "out.jsonl")
    assert_private("run FILE", run.seen(), told=set())
    assert len((run.folder / "out.jsonl").read_text().splitlines()) == 20


def test_run_reaches_the_address_that_it_is_given(
    watch: Watch, tiny: Path, clip: Path, site: str
) -> None:
    url = f"http://{site}/{clip.name}"
    seen = watch(SCRIPT, "run", url, "--bundle", tiny, "--output", "out.jsonl").seen()
    assert_private("run URL", seen, told={site})
    assert seen.reached == {site}


@pytest.mark.parametrize("command", [("bundle", "check"), ("engine", "inspect"), ("--version",)])
def test_commands_for_bundles_reach_nothing(
    watch: Watch, tiny: Path, command: tuple[str, ...]
) -> None:
    arguments = [tiny] if command[0] == "bundle" else []
    seen = watch(SCRIPT, *command, *arguments).seen()
    assert_private(" ".join(command), seen, told=set())


@pytest.mark.kafka
def test_a_worker_a_camera_and_the_commands_beside_them_reach_kafka_alone(
    watch: Watch, group: Group, clip: Path
) -> None:
    told = {group.cluster.config.bootstrap}
    worker = watch(SCRIPT, "worker", "--config", group.file)
    topic = ("--bootstrap", *told, "--topic", group.topics.frames)
    camera = watch(SCRIPT, "camera", clip, "--stream", "gate", *topic).seen()
    group.predictions(20)
    worker.send(signal.SIGTERM)
    audit = watch(SCRIPT, "audit", "--config", group.file).seen()
    for what, seen in (("camera", camera), ("worker", worker.seen()), ("audit", audit)):
        assert_private(what, seen, told=told)
        assert seen.reached == told


PLANTED = """
import sys, time
from pathlib import Path
import engines
import os
os.environ["ORT_DISABLE_TELEMETRY"] = "0"  # the fault; by the next line nothing leaves all the same
os.environ["https_proxy"] = os.environ["http_proxy"] = "http://127.0.0.1:9"
from engines.load import load_engine
from engines.model.bundle import load_bundle
load_engine("onnxruntime", load_bundle(Path(sys.argv[1])), threads=1).close()
"""


def test_the_telemetry_of_onnx_runtime_would_be_seen(watch: Watch, tiny: Path) -> None:
    seen = watch(*python(PLANTED, tiny)).seen()
    assert any("onnxruntime" in path for path in outside_the_cache(seen))


def test_a_name_that_a_child_of_a_child_looks_up_would_be_seen(watch: Watch) -> None:
    inner = "import socket\ntry: socket.getaddrinfo('longtake.invalid', 80)\nexcept OSError: pass"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    assert watch(*python(code)).seen().reached != frozenset()


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
def test_an_address_that_a_thread_of_a_child_reaches_would_be_seen(watch: Watch, kind: str) -> None:
    with socket.socket(socket.AF_INET, getattr(socket, kind)) as peer:
        peer.bind(("127.0.0.1", 0))
        address = peer.getsockname()
        send = f"socket.socket(type=socket.{kind}).connect_ex({address})"
        inner = f"import socket, threading as t; t.Thread(target=lambda: {send}).start()"
        seen = watch(
            *python(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])")
        ).seen()
    assert seen.reached == {f"127.0.0.1:{address[1]}"}


def test_a_datagram_without_a_connection_would_be_seen(watch: Watch) -> None:
    code = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))"
    assert watch(*python(code)).seen().reached == {"127.0.0.1:9"}


def test_a_file_that_is_written_and_deleted_again_would_be_seen(watch: Watch) -> None:
    code = "from pathlib import Path; p = Path.home() / 'id'; p.write_text('x'); p.unlink()"
    assert watch(*python(code)).seen().written == {"id"}


def test_addresses_of_every_family_are_read_from_the_log(tmp_path: Path) -> None:
    log = (
        "7 connect(3<TCPv6:[1]>, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=0, "
        'inet_pton(AF_INET6, "2001:db8::1", &sin6_addr), sin6_scope_id=0}, 28 <unfinished ...>\n'
        '8 connect(4<UNIX:[2]>, {sa_family=AF_UNIX, sun_path="/run/nscd/socket"}, 110) = -1\n'
        "8 sendto(5<NETLINK:[3]>, [{nlmsg_len=20}], 20, 0, {sa_family=AF_NETLINK}, 12) = 20\n"
    )
    seen = parse(log, home=tmp_path, cwd=tmp_path)
    assert seen.reached == {"2001:db8::1:443", "/run/nscd/socket"}
