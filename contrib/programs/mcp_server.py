#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A server of the Model Context Protocol on standard input and output: JSON-RPC 2.0, one message a line.

    wsluice -- contrib/programs/mcp_server.py

Over the WebSocket one text message is one JSON-RPC message, both ways. It has one tool, `add`. Standard error is free for
what people should read; nothing else may be printed on standard output.
"""
import json
import sys

TOOL = {"name": "add", "description": "Adds two numbers",
        "inputSchema": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
                        "required": ["a", "b"]}}


class Fault(Exception):
    """Answered as a JSON-RPC error: (code, message)."""


def initialize(params):
    return {"protocolVersion": params.get("protocolVersion", "2025-06-18"), "capabilities": {"tools": {}},
            "serverInfo": {"name": "wsluice example", "version": "1"}}


def call(params):
    arguments = params.get("arguments", {})
    if params.get("name") != "add":
        raise Fault(-32602, "no such tool")
    try:
        total = arguments["a"] + arguments["b"]
    except (KeyError, TypeError):
        return {"content": [{"type": "text", "text": "a and b must be numbers"}], "isError": True}
    return {"content": [{"type": "text", "text": str(total)}]}


METHODS = {"initialize": initialize, "tools/list": lambda _: {"tools": [TOOL]}, "tools/call": call, "ping": lambda _: {}}


def answer(line):
    """What to say to one line; None: nothing, it is a notification."""
    try:
        message = json.loads(line)
        method, number = message["method"], message.get("id")
    except (ValueError, KeyError, TypeError):
        return {"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "not a JSON-RPC request"}}
    if number is None:
        return None
    try:
        if method not in METHODS:
            raise Fault(-32601, f"no method {method}")
        return {"jsonrpc": "2.0", "id": number, "result": METHODS[method](message.get("params", {}))}
    except Fault as fault:
        code, text = fault.args
        return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": text}}


for request in sys.stdin:
    said = answer(request)
    if said is not None:
        print(json.dumps(said), flush=True)
