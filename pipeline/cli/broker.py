"""`longtake broker`: a real Apache Kafka on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.commands import one_command
from pipeline.cli.shared.options import LogFormatFlag
from pipeline.config import load_config

app = one_command()

DEFAULT_GROUPS = ("longtake", "actions")  # the default of other commands, and that of the pages


@app.command()
def broker(
    nodes: Annotated[int, typer.Option(min=1, max=5, help="How many brokers.")] = 1,
    port: Annotated[int, typer.Option(help="Port of the first; 0 takes free ones.")] = 9092,
    data: Annotated[
        Path | None, typer.Option(help="Keep the logs here; else they go with the broker.")
    ] = None,
    secure: Annotated[
        Path | None,
        typer.Option(
            help="Want TLS, logins and permissions; put certificates, passwords and the files for"
            " --kafka of the roles camera, worker, reader and operator here.",
            metavar="DIR",
        ),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(
            help="With --secure: a group that the roles may use; may be given again."
            " [longtake, actions]"
        ),
    ] = None,
    log_format: LogFormatFlag = None,
) -> None:
    """Run a real Apache Kafka on this machine, on loopback, until Ctrl-C.

    Prints `bootstrap 127.0.0.1:PORT` once it serves.

    Example: `longtake broker --port 9092 --data ./kafka-data --secure ./kafka-users`
    """
    del log_format
    from pipeline.local.command import broker as run_broker
    from pipeline.local.secure.protection import Secure

    if secure is None:
        if group:
            raise typer.BadParameter("counts only with --secure", param_hint="--group")
        run_broker(nodes, port, data, None)
        return
    settings = [load_config(None, {"group": name}) for name in group or DEFAULT_GROUPS]
    run_broker(nodes, port, data, Secure(secure, tuple((s.topics, s.group) for s in settings)))
