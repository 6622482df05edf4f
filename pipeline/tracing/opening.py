"""Opens the tracing of a process from the OTEL_* variables, or refuses it with words."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from pipeline.errors import ConfigError, DependencyError
from pipeline.tracing.spans import Tracing

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
ONLY = {
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
}
"""Variables that the SDK does not read, or that would choose what is not installed."""


def open_tracing(
    environment: Mapping[str, str], *, service: str, instance: str | None
) -> Tracing | None:
    """Return the tracing that the environment describes; None if OTEL_SDK_DISABLED is true.

    Spans leave the machine only for an endpoint that the environment names. Raises `ConfigError` if
    it names none, and `DependencyError` without the extra `otel`.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    try:
        from pipeline.tracing.otel import otlp_tracing
    except ModuleNotFoundError as exc:
        raise DependencyError(
            f"otel = true needs the package {exc.name}: `pip install '.[otel]'` in longtake's"
            " repository"
        ) from exc
    for name, wanted in ONLY.items():
        if environment.get(name, wanted).strip() not in ("", wanted):
            raise ConfigError(f"{name} = {environment[name][:40]!r}: longtake has {wanted} alone")
    return otlp_tracing(endpoint=_endpoint(environment), service=service, instance=instance)


def _endpoint(environment: Mapping[str, str]) -> str:
    """Return the endpoint's scheme, host and port: its path and login may hold a key."""
    name = next((name for name in ENDPOINTS if environment.get(name, "").strip()), None)
    if name is None:
        raise ConfigError(
            "otel = true needs a collector: set OTEL_EXPORTER_OTLP_ENDPOINT to its address,"
            " such as http://127.0.0.1:4318"
        )
    try:
        parts = urlsplit(environment[name].strip())
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        parts, port = urlsplit(""), ""
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{name}: wanted an address such as http://127.0.0.1:4318")
    return f"{parts.scheme}://{parts.hostname}{port}"
