"""`longtake live`: a page that shows what every camera sees now."""

from typing import Annotated

import typer

from pipeline.cli.commands import one_command
from pipeline.cli.shared.options import ConfigFile, Group, KafkaFlags, LogFormatFlag, with_kafka
from pipeline.clock import SystemClock
from pipeline.config import load_config
from pipeline.live.door import Door, read_token
from pipeline.live.wall import MOST_STREAMS
from pipeline.text.log_lines import write_as
from pipeline.text.terminal import Terminal

app = one_command()

PORT = 9118


@app.command()
@with_kafka
def live(
    kafka: KafkaFlags,
    host: Annotated[
        str, typer.Option(help="Where to serve; another one than loopback needs --token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes any free one.")] = PORT,
    token: Annotated[
        str | None, typer.Option(help="What visitors must know: '${file:/path}' or '${NAME}'.")
    ] = None,
    most_streams: Annotated[
        int, typer.Option(min=1, max=10_000, help="Streams that the page knows at once.")
    ] = MOST_STREAMS,
    group: Group = None,
    config: ConfigFile = None,
    log_format: LogFormatFlag = None,
) -> None:
    """Serve a page with a tile for each camera: picture, label, memory and state, until Ctrl-C.

    It reads the topics of frames, predictions and cameras, and joins no group.

    Example: `longtake live`, then open http://127.0.0.1:9118 in a browser
    """
    from pipeline.broker.kafka.readers.topic_tail import TopicTail
    from pipeline.live.following import followings
    from pipeline.live.held_pictures import HeldPictures
    from pipeline.live.live_app import live_app
    from pipeline.live.page_connection import PageConnection
    from pipeline.live.wall import Wall
    from pipeline.web.connections import bounded
    from pipeline.web.limits import EXCHANGE_S
    from pipeline.web.server import listening

    settings = load_config(config, {**kafka, "group": group, "log_format": log_format})
    write_as(settings.log_format)
    door = Door(read_token(token, host=host))
    listener = listening(host, port, what="the page", choose="--port (0 takes any free one)")
    pictures = HeldPictures(max_frame_bytes=settings.max_frame_bytes)
    wall = Wall(
        pictures,
        SystemClock(),
        most_streams=most_streams,
        max_frame_bytes=settings.max_frame_bytes,
    )

    def open_tail(topic: str, from_start: bool) -> TopicTail:
        return TopicTail(settings.connection, topic=topic, from_start=from_start)

    following = followings(wall, settings.topics, open_tail)
    for one in following:
        one.start()
    shown = f"[{host}]" if ":" in host else host
    Terminal(stderr=True).say(f"live page on http://{shown}:{listener.getsockname()[1]}/")
    server = bounded(live_app(wall, door), exchange_s=EXCHANGE_S, connection=PageConnection)
    try:
        server.run([listener])
    finally:
        for one in following:
            one.stop()
        listener.close()
