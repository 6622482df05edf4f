"""Begins TLS with a camera, and explains what is wrong with its certificate."""

import ssl
from contextlib import closing

from pipeline.errors import CameraLostError, LossReason
from pipeline.media.opening.access import Access
from pipeline.media.opening.media_url import MediaUrl
from pipeline.media.opening.patience import Patience, TimedSocket
from pipeline.media.refusals import explain_certificate


def encrypt(line: TimedSocket, place: MediaUrl, access: Access) -> None:
    """Begin TLS on a connection. Raises `CameraLostError` for a certificate that is not trusted."""
    try:
        line.encrypt(access.tls(), place.host)
    except ssl.SSLCertVerificationError as exc:
        words = explain_certificate(exc.verify_message)
        raise CameraLostError(LossReason.REFUSED, words) from None
    except ssl.SSLError as exc:
        words = f"it does not speak TLS as we do ({exc.reason or 'handshake failed'})"
        raise CameraLostError(LossReason.REFUSED, words) from None


def check_certificate(place: MediaUrl, access: Access, patience: Patience) -> None:
    """Connect once more, after libav has failed: it has one error for everything in TLS.

    Raises as `encrypt` does, `TimeoutError`, and `OSError` if nothing answers.
    """
    with closing(TimedSocket(place.host, place.port, patience)) as line:
        encrypt(line, place, access)
