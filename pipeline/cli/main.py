"""The command `longtake`: its commands, and which exit code each error ends with."""

import errno
import io
import logging
import os
import sys
from contextlib import suppress
from importlib.metadata import version
from typing import Annotated, Any

import typer

from engines.errors import (
    BuildError,
    BundleError,
    DeviceError,
    EngineError,
    EngineUnavailableError,
    VerificationError,
)
from pipeline.cli.commands import LongtakeGroup
from pipeline.cli.shared.signals import end_container_at_sigterm
from pipeline.errors import (
    BrokerUnavailableError,
    BrokerUnreachableError,
    LongtakeError,
    OutputError,
    StopError,
)
from pipeline.text.log_lines import (
    asked_format,
    flush_stderr,
    json_stderr,
    log_to_stderr,
    refuse_unknown_format,
    write_as,
)
from pipeline.text.printable import printable, printable_lines
from pipeline.text.terminal import Terminal

app = typer.Typer(
    name="longtake",
    cls=LongtakeGroup,
    help="Live cameras in Kafka become rolling predictions; their memory survives any crash.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
log = logging.getLogger(__name__)

COMPLETION = "_LONGTAKE_COMPLETE"  # set by the shell while it completes a command line
BUG = 1
READER_GONE = 141  # the reader of our output has ended (`| head`); click raises SystemExit for it
ENGINE_EXIT_CODES = {
    BundleError: 30,
    VerificationError: 31,
    DeviceError: 32,
    EngineUnavailableError: 33,
    BuildError: 34,
}


def main() -> None:
    """Run a command; every error that we know ends in one clear line and its own exit code."""
    code = BUG
    end_container_at_sigterm()
    log_to_stderr(logging.INFO)
    write_as(asked_format(sys.argv[1:], os.environ))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a label may be in no locale's encoding
    try:
        ended = app(standalone_mode=False)  # a `typer.Exit` comes back as its code
        sys.stdout.flush()
        code = ended if isinstance(ended, int) else 0
    except typer.Abort:
        code = 130
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        code = READER_GONE
    except SystemExit as exc:
        code = _system_exit(exc)
    except (LongtakeError, EngineError) as exc:
        code = _complain(exc, exit_code(exc))
    except Exception as exc:  # noqa: BLE001 - the only place that catches every other error
        code = _all_else(exc)
    with suppress(OSError):
        flush_stderr()
    os._exit(code)  # threads of clients must not keep the process alive after its last output


def exit_code(exc: LongtakeError | EngineError) -> int:
    """Return the code that an error of ours ends with; 1 if it ought to have ended no command."""
    if isinstance(exc, StopError):
        return exc.exit_code
    if isinstance(exc, BrokerUnavailableError):  # nothing is left that would try again
        return BrokerUnreachableError.exit_code
    return next((code for kind, code in ENGINE_EXIT_CODES.items() if isinstance(exc, kind)), BUG)


def _system_exit(exc: SystemExit) -> int:
    """Return the code of shell completion as it is: fish asks for it. All else is a broken pipe."""
    if not exc.code or COMPLETION in os.environ:
        return int(exc.code or 0)
    return READER_GONE


def _complain(exc: Exception, code: int) -> int:
    message = _without_secrets(str(exc))
    if json_stderr() is None:
        Terminal(stderr=True).complain(message)
    else:
        _log_the_end(message, code)
    return code


def _log_the_end(message: str, code: int) -> None:
    log.error("%s", message, extra={"exit_code": code})


def _without_secrets(message: str) -> str:
    from pipeline.cli.shared.typed_secrets import without_typed_secrets  # not at each start: 0.1 s

    return without_typed_secrets(message)


def _all_else(exc: Exception) -> int:
    if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return _complain(OutputError(f"cannot write: {exc.strerror}"), OutputError.exit_code)
    if hasattr(exc, "show"):  # click's own errors know how to show themselves
        return _complain_of_usage(exc)
    log.critical("a bug in longtake", exc_info=exc, extra={"exit_code": BUG})
    return BUG


def _complain_of_usage(exc: Any) -> int:
    if json_stderr() is not None:
        _log_the_end(_without_secrets(exc.format_message()), exc.exit_code)
        return int(exc.exit_code)
    written = io.StringIO()
    exc.show(written)
    usage, error, _ = written.getvalue().partition("Error: ")
    # the message repeats arguments, which may be names of files: it is one line
    message = printable(_without_secrets(exc.format_message()))
    said = f"{error}{message}\n" if error else ""
    sys.stderr.write(printable_lines(usage) + said)
    return int(exc.exit_code)


def _version(value: bool) -> None:
    if value:
        sys.stdout.write(f"longtake {version('longtake')}\n")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
) -> None:
    refuse_unknown_format(os.environ)
    log_to_stderr(logging.DEBUG if verbose else logging.INFO)
    for noisy in ("kafka", "uvicorn", "asyncio", "opentelemetry", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.INFO if verbose else logging.CRITICAL)
