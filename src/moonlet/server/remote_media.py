"""Fetching media from public addresses only.

A name is resolved once, every address it has is checked, and the connection is made to a checked address: a name that
answers differently the second time (DNS rebinding) gains nothing. Redirects are followed by the same rules.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Protocol
from urllib.parse import urljoin, urlsplit

import httpx

from moonlet.errors import PromptError

MAX_REMOTE_BYTES = 100 << 20
TIMEOUT_S = 20.0
MAX_REDIRECTS = 3


class Resolve(Protocol):
    """Host and port to the addresses behind them."""

    async def __call__(self, host: str, port: int) -> list[str]: ...


async def resolve(host: str, port: int) -> list[str]:
    """Addresses by the system's resolver. Raises PromptError."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise PromptError(f"remote media: the host {host[:100]!r} is not found") from None
    return [str(item[4][0]) for item in found]


async def fetch_media(
    url: str, kind: str, *, resolver: Resolve = resolve, transport: httpx.AsyncBaseTransport | None = None
) -> bytes:
    """The bytes at `url`. Raises PromptError for an address that is not public, and for what is too slow or too large.

    transport: for tests; the network if not given.
    """
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            httpx.AsyncClient(transport=transport, follow_redirects=False, trust_env=False) as client,
        ):
            for _ in range(MAX_REDIRECTS + 1):
                content, redirect = await _fetch_one(client, url, kind, resolver)
                if redirect is None:
                    return content
                url = urljoin(url, redirect)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError):
        raise PromptError(f"remote {kind}: could not be fetched within {TIMEOUT_S:g} seconds") from None
    raise PromptError(f"remote {kind}: redirected more than {MAX_REDIRECTS} times")


async def _fetch_one(client: httpx.AsyncClient, url: str, kind: str, resolver: Resolve) -> tuple[bytes, str | None]:
    """The content, or where it has moved to."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise PromptError(f"remote {kind}: not a valid URL") from None
    if parts.scheme not in ("http", "https") or not host or parts.username is not None:
        raise PromptError(f"remote {kind}: expected an http or https URL without a user name")
    address = _public(await resolver(host, port), kind)
    shown = f"[{address}]" if ":" in address else address
    pinned = parts._replace(netloc=f"{shown}:{port}").geturl()
    request = client.build_request("GET", pinned, headers={"host": parts.netloc, "accept": f"{kind}/*"})
    # The certificate is checked against the name, not against the address.
    request.extensions["sni_hostname"] = host
    response = await client.send(request, stream=True)
    try:
        if response.is_redirect:
            return b"", response.headers.get("location", "")
        if response.status_code != 200:
            raise PromptError(f"remote {kind}: the server answered {response.status_code}")
        content = bytearray()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > MAX_REMOTE_BYTES:
                raise PromptError(f"remote {kind}: more than {MAX_REMOTE_BYTES >> 20} MiB")
        return bytes(content), None
    finally:
        await response.aclose()


def _public(addresses: list[str], kind: str) -> str:
    """One of the addresses, if all of them are public. Raises PromptError."""
    for text in addresses:
        address = ipaddress.ip_address(text.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        address = mapped or address
        if not address.is_global or address.is_multicast:
            raise PromptError(f"remote {kind}: the address is not a public one")
    if not addresses:
        raise PromptError(f"remote {kind}: the host has no address")
    return addresses[0]
