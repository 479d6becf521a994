# SPDX-License-Identifier: MIT
"""Verdicts on answers to an opening handshake."""

import re

from .wire import KEY, TEXT, accept_value


def refused(client, *statuses, why=None):
    """The server's answer is one of the statuses, tells why in plain text, and ends the connection."""
    response = client.read_response()
    assert response.status in statuses, f"{response.status} {response.phrase} {response.body!r}, expected {statuses}"
    assert response.get("content-type", "").lower().startswith("text/plain"), response.fields
    assert response.tokens("connection").count("close") == 1, response.fields
    assert response.ended
    assert int(response.get("content-length")) == len(response.body)
    text = response.body.decode("ascii")
    assert 5 <= len(text) <= 300 and re.search("[a-z]{3}", text), f"no reason: {text!r}"
    assert all(c.isprintable() or c == "\n" for c in text), f"unprintable: {text!r}"
    assert not response.all("sec-websocket-accept")
    if why:
        assert re.search(why, text, re.I), f"{text!r} does not say {why!r}"
    return response


def works(client):
    """An echo there and back."""
    client.text("hello")
    assert client.read_message() == (TEXT, b"hello")
    client.finish()


def accepted(client, key=KEY):
    response = client.read_response()
    assert response.status == 101, f"{response.status} {response.phrase}: {response.body!r}"
    assert response.get("sec-websocket-accept") == accept_value(key)
    assert response.get("upgrade").lower() == "websocket"
    assert response.tokens("connection") == ["upgrade"]
    assert not response.all("sec-websocket-extensions")
    assert not response.all("content-length") and not response.all("transfer-encoding")
    works(client)
    return response
