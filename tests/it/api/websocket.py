"""Tests GET /api/v1/ws case by case against RFC 6455: what a strict peer sends, and what no peer may send.

Usage: websocket.py HOST:PORT TOKEN

The peer is Python's `websockets`: its client for valid messages, frames and handshakes by hand for invalid ones. `wsproto`
reads what the server sends a second time. The usual suite, Autobahn's wstest, needs Python 2 and an echo server, which
this socket is not; this file follows its groups: 2 pings, 3 reserved bits, 4 opcodes, 5 fragments, 6 UTF-8, 7 closing,
9 sizes.
"""

import asyncio
import base64
import json
import os
import struct
import sys

import websockets
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import CloseConnection, Pong, TextMessage

ADDRESS, TOKEN = sys.argv[1], sys.argv[2]
HOST, PORT = ADDRESS.rsplit(":", 1)
LIMIT = 10.0
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Peer:
    """A connection after the handshake: sends any frame, and reads with wsproto."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.judge = Connection(ConnectionType.CLIENT)
        self.events = []
        self.ended = False

    def send(self, opcode, payload=b"", fin=True, rsv=0, masked=True, length=None):
        self.writer.write(frame(opcode, payload, fin, rsv, masked, length))

    async def event(self):
        """The server's next message; None at the end of the connection. Raises if wsproto finds a mistake."""
        while not self.events:
            if self.ended:
                return None
            data = await asyncio.wait_for(self.reader.read(4096), LIMIT)
            self.ended = not data
            if data:
                self.judge.receive_data(data)
                self.events.extend(self.judge.events())
        return self.events.pop(0)

    async def closed(self):
        """The code of the server's close. Checks that the connection ends after it."""
        while True:
            event = await self.event()
            if event is None:
                return "no close"
            if isinstance(event, CloseConnection):
                self.send(CLOSE, struct.pack("!H", event.code) if event.code != 1005 else b"")
                try:
                    rest = await asyncio.wait_for(self.reader.read(), LIMIT)
                except ConnectionError:
                    # After a failure, neither side waits for the other (7.1.7).
                    rest = b""
                assert not rest, f"data after the close: {rest!r}"
                return event.code


def frame(opcode, payload=b"", fin=True, rsv=0, masked=True, length=None):
    length = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    mask = 0x80 if masked else 0
    if length < 126:
        head += bytes([mask | length])
    elif length < 65536:
        head += struct.pack("!BH", mask | 126, length)
    else:
        head += struct.pack("!BQ", mask | 127, length)
    if not masked:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


def request(**changes):
    headers = {
        "Host": ADDRESS,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Authorization": f"Bearer {TOKEN}",
    }
    headers.update({name.replace("_", "-"): value for name, value in changes.items()})
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return ("GET /api/v1/ws HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode()


async def raw(**changes):
    reader, writer = await asyncio.open_connection(HOST, int(PORT))
    writer.write(request(**changes))
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LIMIT)
    return head.decode(), reader, writer


async def peer():
    head, reader, writer = await raw()
    assert head.startswith("HTTP/1.1 101 "), head
    peer = Peer(reader, writer)
    hello = await peer.event()
    assert isinstance(hello, TextMessage) and json.loads(hello.data)["type"] == "hello", hello
    return peer


CASES = []


def case(function):
    CASES.append(function)
    return function


async def closes(codes, *frames):
    """After these frames the server closes with one of the codes."""
    connection = await peer()
    # In one write: data after the close could reset the connection before the close is read.
    connection.writer.write(b"".join(frames))
    code = await connection.closed()
    assert code in codes, f"closed with {code}, not one of {codes}"


@case
async def a_strict_client_opens_hears_and_closes():
    url = f"ws://{ADDRESS}/api/v1/ws"
    protocols = ["deskreel.v1", f"deskreel.bearer.{TOKEN}"]
    async with websockets.connect(url, subprotocols=protocols, open_timeout=LIMIT) as socket:
        assert socket.subprotocol == "deskreel.v1", socket.subprotocol
        assert json.loads(await asyncio.wait_for(socket.recv(), LIMIT))["type"] == "hello"
        await asyncio.wait_for(await socket.ping(b"are you there"), LIMIT)
        await socket.close(1000, "done")
    assert socket.close_code == 1000, socket.close_code


@case
async def compression_that_is_offered_is_declined_or_done():
    head, reader, _ = await raw(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits")
    assert head.startswith("HTTP/1.1 101 ") and "extensions" not in head.lower(), head
    assert (await reader.readexactly(1))[0] & 0x70 == 0


@case
async def handshakes_that_are_none_are_refused():
    for changes in [
        {"Sec_WebSocket_Version": "8"},
        {"Sec_WebSocket_Version": None},
        {"Sec_WebSocket_Key": None},
        {"Upgrade": "h2c"},
        {"Upgrade": None},
        {"Connection": "keep-alive"},
    ]:
        head, _, writer = await raw(**changes)
        assert head.split()[1] in ("400", "426"), f"{changes}: {head}"
        writer.close()


@case
async def pings_are_answered_in_order_with_their_payload():
    connection = await peer()
    payloads = [b"", b"x", bytes(range(125)), b"\xff\xfe"] + [str(number).encode() for number in range(10)]
    for payload in payloads:
        connection.send(PING, payload)
    for payload in payloads:
        event = await connection.event()
        assert isinstance(event, Pong) and event.payload == payload, event


@case
async def a_frame_that_comes_byte_by_byte_is_a_frame():
    connection = await peer()
    for byte in frame(PING, b"slow"):
        connection.writer.write(bytes([byte]))
        await connection.writer.drain()
    event = await connection.event()
    assert isinstance(event, Pong) and event.payload == b"slow", event


@case
async def pongs_that_nobody_asked_for_are_let_pass():
    connection = await peer()
    connection.send(PONG, b"unasked")
    connection.send(PING, b"still there")
    event = await connection.event()
    assert isinstance(event, Pong) and event.payload == b"still there", event


@case
async def a_ping_within_fragments_is_answered_before_they_end():
    connection = await peer()
    connection.send(TEXT, b"one", fin=False)
    connection.send(PING, b"between")
    event = await connection.event()
    assert isinstance(event, Pong) and event.payload == b"between", event
    connection.send(0, b"two", fin=True)
    assert await connection.closed() == 1003


@case
async def control_frames_are_short_and_whole():
    await closes([1002], frame(PING, b"x" * 126))
    await closes([1002], frame(PING, b"x", fin=False))
    await closes([1002], frame(CLOSE, struct.pack("!H", 1000) + b"x" * 124))


@case
async def reserved_bits_are_refused():
    for rsv in (1, 2, 4, 7):
        await closes([1002], frame(PING, b"x", rsv=rsv))
        await closes([1002], frame(TEXT, b"x", rsv=rsv))


@case
async def reserved_opcodes_are_refused():
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        await closes([1002], frame(opcode, b"x"))


@case
async def fragments_have_a_beginning_and_no_other_within():
    await closes([1002], frame(0, b"x"))
    await closes([1002], frame(TEXT, b"x", fin=False), frame(TEXT, b"y"))


@case
async def frames_without_a_mask_are_refused():
    await closes([1002], frame(PING, b"x", masked=False))


@case
async def text_that_is_not_utf8_is_refused():
    for text in (b"\xff", b"\xce\xba\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"cut \xe2\x82"):
        await closes([1007], frame(TEXT, text))
    await closes([1007], frame(TEXT, b"\xe2\x82", fin=False), frame(0, b"x"))


@case
async def messages_that_are_data_are_refused_as_such():
    await closes([1003], frame(TEXT, "ünï".encode()))
    await closes([1003], frame(BINARY, b"\x00\xff"))
    # Split within a character, which is complete in the end.
    await closes([1003], frame(TEXT, b"\xe2\x82", fin=False), frame(0, b"\xac"))


@case
async def what_is_too_large_is_refused_by_its_head():
    await closes([1009], frame(BINARY, b"", length=1 << 20))
    await closes([1009], frame(BINARY, b"", length=(1 << 63) - 1))
    await closes([1009], frame(BINARY, b"x" * 3000, fin=False), frame(0, b"x" * 3000, fin=False))


@case
async def a_close_is_answered_with_its_code():
    for code in (1000, 1001, 1003, 1007, 1011, 3000, 4999):
        await closes([code], frame(CLOSE, struct.pack("!H", code) + b"reason"))
    await closes([1005], frame(CLOSE))


@case
async def closes_that_are_none_are_protocol_errors():
    await closes([1002], frame(CLOSE, b"x"))
    for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535):
        await closes([1002], frame(CLOSE, struct.pack("!H", code)))
    await closes([1002, 1007], frame(CLOSE, struct.pack("!H", 1000) + b"\xff"))


@case
async def a_peer_that_hangs_up_hurts_nobody():
    connection = await peer()
    connection.writer.transport.abort()
    (await peer()).writer.close()


async def main():
    failed = 0
    for function in CASES:
        try:
            await function()
            print(f"ok      {function.__name__}")
        except Exception as error:
            failed += 1
            print(f"FAILED  {function.__name__}: {error!r}")
    print(f"{len(CASES)} cases, {failed} failed (websockets {websockets.__version__})")
    return 1 if failed else 0


sys.exit(asyncio.run(main()))
