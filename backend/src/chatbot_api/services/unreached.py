"""Why a connection could not be made, in words for an owner. Pure."""

from __future__ import annotations

import socket
import ssl


def in_the_way(error: BaseException) -> str:
    """By what lies beneath the error: HTTP libraries wrap it. None of a server's own words are in it."""
    cause: BaseException | None = error
    while cause is not None:
        match cause:
            case socket.gaierror():
                return "its name cannot be resolved"
            case ssl.SSLCertVerificationError():
                return "its certificate is not trusted; install ca-certificates, or name its authority in SSL_CERT_FILE"
            case ssl.SSLError():
                return "no secure connection can be made; is it http:// and not https://?"
            case ConnectionRefusedError():
                return "nothing listens there"
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
