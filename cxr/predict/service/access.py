"""Who may ask the service: a token for clients of other machines, and names that a Host header may have."""

import hmac
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from cxr.core.errors import CxrError

TOKEN = "CXR_SERVICE_TOKEN"
PUBLIC = {"/", "/ping", "/model-card"}  # the page, which asks for the token, a health check, and a document


@dataclass(frozen=True)
class Access:
    """What a request must show; the default is nothing, as behind SageMaker, where IAM decides."""

    token: str = field(default="", repr=False)
    hosts: frozenset[str] | None = None  # names; an IP address is always allowed, as no web site can claim it

    def refusal(self, path: str, host: str, authorization: str) -> tuple[int, str] | None:
        """Status and reason where a request is refused, else None."""
        if self.hosts is not None and path != "/ping":
            name = _host_name(host)
            if name not in self.hosts and not _is_address(name):
                return 400, f"host {name!r} is not allowed; start the service with --allow-host {name}"
        if not self.token or path in PUBLIC or path.startswith("/static/"):
            return None
        given = authorization.removeprefix("Bearer ").encode("latin-1", "replace")
        if not hmac.compare_digest(given, self.token.encode()):
            return 401, "the token is missing or wrong; send Authorization: Bearer <token>"
        return None


def access_for(host: str, token: str, is_open: bool, allowed: Iterable[str], platform: str) -> Access:
    """The access rules of a service that listens on `host`.

    Args:
        host: address or name that the service binds to.
        token: what clients must send, or empty.
        is_open: take requests from the network without a token.
        allowed: further host names.
        platform: `sagemaker` where only SageMaker reaches the service.

    Raises:
        CxrError: the service would take requests from the network without a token.
    """
    if platform == "sagemaker":
        return Access()
    if not (token or is_open or _is_loopback(host)):
        raise CxrError(f"--host {host} takes requests from the network; set {TOKEN}, or --open to do without a token")
    names = {"localhost", socket.gethostname().lower(), host.lower(), *(name.lower() for name in allowed)}
    return Access(token, frozenset(names - {""}))


def _host_name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
