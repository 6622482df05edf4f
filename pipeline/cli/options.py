"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Bootstrap = Annotated[
    str | None, typer.Option(help="Kafka's address, host:port[,host:port]. [127.0.0.1:9092]")
]
Group = Annotated[
    str | None, typer.Option(help="Name of the group; its memory is the topic GROUP.state.")
]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="TOML file with settings.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

Redirects = Annotated[
    bool, typer.Option("--redirects", help="Follow its server to other hosts as well.")
]
NoVerify = Annotated[bool, typer.Option("--no-verify", help="Accept any certificate of TLS.")]
CaFile = Annotated[
    Path | None, typer.Option(help="PEM file of the certificate to trust, or its authority.")
]
