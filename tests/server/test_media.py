"""Uploads, and where media may come from."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from moonlet.errors import PromptError
from moonlet.server.remote_media import fetch_media

PATH = "/v1/chat/completions"


def ask(url: str) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}


def test_an_upload_is_kept_listed_found_and_forgotten(serve):
    client = serve()
    stored = client.post("/v1/files", files={"file": ("a.png", b"bytes")}, data={"purpose": "image"}).json()
    assert (stored["object"], stored["bytes"], stored["filename"], stored["status"]) == ("file", 5, "a.png", "ready")
    assert client.get("/v1/files").json()["data"] == [stored]
    assert client.get("/v1/files/" + stored["id"]).json() == stored
    assert client.delete("/v1/files/" + stored["id"]).json()["deleted"] is True
    assert client.get("/v1/files/" + stored["id"]).status_code == 404


def test_uploads_that_are_none(serve):
    client = serve()
    for purpose in ("file-extract", "batch", ""):
        refused = client.post("/v1/files", files={"file": ("a", b"x")}, data={"purpose": purpose})
        assert refused.status_code == 400
        assert "Invalid purpose" in refused.json()["error"]["message"]
    assert client.post("/v1/files", files={"file": ("a", b"")}, data={"purpose": "image"}).status_code == 400
    assert client.post("/v1/files", data={"purpose": "image"}).status_code in (400, 415)
    broken = client.post("/v1/files", content=b"x", headers={"content-type": "multipart/form-data"})
    assert broken.status_code == 400


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1/a.png", "remote URLs are disabled"),
        ("https://example.com/a.png", "remote URLs are disabled"),
        ("file:///etc/passwd", "unsupported image url"),
        ("/etc/passwd", "unsupported image url"),
        ("ms://file-unknown", "is not found"),
    ],
)
def test_media_from_elsewhere_is_refused(serve, url, said):
    refused = serve().post(PATH, json=ask(url))
    assert refused.status_code == 400
    assert said in refused.json()["error"]["message"]


def test_an_image_for_a_model_without_eyes_is_refused(serve):
    assert serve().post(PATH, json=ask("data:image/png;base64,AAAA")).status_code == 400


def fetch(url: str, addresses: dict[str, list[str]], answers: dict[str, httpx.Response]) -> bytes:
    async def resolve(host: str, port: int) -> list[str]:  # noqa: ARG001
        return addresses[host]

    def answer(request: httpx.Request) -> httpx.Response:
        return answers[str(request.url)]

    return asyncio.run(fetch_media(url, "image", resolver=resolve, transport=httpx.MockTransport(answer)))


def test_a_public_address_is_fetched_by_its_checked_number():
    answers = {"http://8.8.8.8/x.png": httpx.Response(200, content=b"png")}
    assert fetch("http://a.example/x.png", {"a.example": ["8.8.8.8"]}, answers) == b"png"


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1"),
        *("::1", "fe80::1", "fd00::1", "::ffff:127.0.0.1"),
    ],
)
def test_addresses_that_are_not_public_are_refused(address):
    with pytest.raises(PromptError, match="not a public one"):
        fetch("http://a.example/x", {"a.example": ["8.8.8.8", address]}, {})


def test_a_redirect_to_a_private_address_is_refused():
    moved = httpx.Response(302, headers={"location": "http://b.example/y"})
    with pytest.raises(PromptError, match="not a public one"):
        fetch(
            "http://a.example/x",
            {"a.example": ["8.8.8.8"], "b.example": ["10.0.0.1"]},
            {"http://8.8.8.8/x": moved},
        )


@pytest.mark.parametrize("url", ["http://user@a.example/x", "http:///x", "http://a.example:99999/x"])
def test_odd_addresses_are_refused(url):
    with pytest.raises(PromptError):
        fetch(url, {"a.example": ["8.8.8.8"]}, {})
