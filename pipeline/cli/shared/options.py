"""Options that several commands share."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.broker.kafka.privileges import Command
from pipeline.errors import NotPermittedError
from pipeline.kafka_settings import KafkaSettings
from pipeline.text.log_lines import LogFormat

Group = Annotated[
    str | None, typer.Option(help="Name of the group; its memory is the topic GROUP.state.")
]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="TOML file with settings.")]
LogFormatFlag = Annotated[
    LogFormat | None, typer.Option("--log-format", help="Of standard error: text or json. [text]")
]
"""`pipeline.cli.main` reads it before the command line is parsed; settings files may set it too."""

OtelFlag = Annotated[
    bool,
    typer.Option("--otel", help="Export OpenTelemetry spans as the OTEL_* variables say. [off]"),
]

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

Redirects = Annotated[
    bool, typer.Option("--redirects", help="Follow its server to other hosts as well.")
]
NoVerify = Annotated[bool, typer.Option("--no-verify", help="Accept any certificate of TLS.")]
CaFile = Annotated[
    Path | None, typer.Option(help="PEM file of the certificate to trust, or its authority.")
]
Crop = Annotated[
    str | None, typer.Option(help="Only this part: x,y,width,height in pixels or fractions.")
]
Masks = Annotated[
    list[str] | None,
    typer.Option("--mask", help="Make this part of the whole picture black; can be repeated."),
]
KafkaFlags = Mapping[str, Any]
"""What `with_kafka` passes on: the flags that say how to reach the Kafka, and of commands with a
group where it publishes, by setting."""

OUTPUTS = {
    "predictions_topic": "Where the group publishes predictions. [predictions]",
    "dead_letters_topic": "Where the group publishes dead letters. [frames.dlq]",
    "events_topic": "Where the group publishes events, if it has `[events]`. [events]",
}

PANEL = "Reaching Kafka"
PLACE = "'${file:/path}' or '${NAME}'."
HELP = {
    "bootstrap": "Kafka's address, host:port[,host:port]. [127.0.0.1:9092]",
    "security_protocol": "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL. [PLAINTEXT]",
    "ssl_ca_location": "Whom to trust: PEM file. [the system's authorities]",
    "ssl_certificate_location": "Our certificate, for mTLS: PEM file.",
    "ssl_key_location": "Its key: PEM file. [in the certificate's file]",
    "ssl_key_password": f"Of the key: {PLACE}",
    "sasl_mechanism": "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER: docs/kafka-security.md.",
    "sasl_username": "The user.",
    "sasl_password": f"The password: {PLACE}",
}
"""What the help says of each setting; the rarer ones are flags too, and left out there."""

KafkaFile = Annotated[
    Path | None,
    typer.Option(help="TOML file with the settings of this panel.", rich_help_panel=PANEL),
]


def refuse_other_than_mp4(overlay: Path) -> None:
    """Raise if the file of `--overlay` has another suffix than `.mp4`."""
    if overlay.suffix.lower() != ".mp4":
        raise typer.BadParameter(f"--overlay writes an MP4; {overlay} must end in .mp4")


def _option(name: str) -> Any:
    text = HELP.get(name)
    made = typer.Option(help=text, rich_help_panel=PANEL, hidden=text is None)
    return Annotated[str | None, made]


def _needs_of(command: Callable[..., None], values: Mapping[str, Any]) -> Command | None:
    """Return the command whose privileges a function needs; None if the table has none.

    `values` are those of its options: some of them need more.
    """
    if command.__name__ == "check":  # it has said what is lacking
        return None
    given = [f"{command.__name__} --{name}" for name, value in values.items() if value]
    wanted = (*given, command.__name__)
    return next((one for name in wanted for one in Command if one.endswith(name)), None)


def with_kafka(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say how to reach the Kafka; the command takes them as `kafka`.

    A command with a `group` also gets the options that name the topics of its own. Each option has
    the name of its setting, so `KafkaFlags` can be handed to `load_settings`.
    """
    own = inspect.signature(command, eval_str=True).parameters
    options: dict[str, Any] = {"bootstrap": _option("bootstrap"), "kafka": KafkaFile}
    options |= {name: _option(name) for name in KafkaSettings.model_fields if name != "bootstrap"}
    if "group" in own:
        named = {name: typer.Option(help=text) for name, text in OUTPUTS.items()}
        options |= {name: Annotated[str | None, option] for name, option in named.items()}

    def called(**values: Any) -> None:
        kafka = {name: values.pop(name) for name in options}
        try:
            command(kafka=kafka, **values)
        except NotPermittedError as exc:
            needs = _needs_of(command, values)
            if needs is None:
                raise
            raise NotPermittedError(
                f"{exc}. `longtake topics check --as '{needs}'` lists what is not permitted"
            ) from exc

    kinds = {name: one.annotation for name, one in own.items() if name != "kafka"} | options
    called.__name__, called.__doc__ = command.__name__, command.__doc__
    called.__annotations__ = kinds
    called.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # what typer reads
        [one.replace(kind=one.KEYWORD_ONLY) for name, one in own.items() if name != "kafka"]
        + [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for name, kind in options.items()
        ]
    )
    return called
