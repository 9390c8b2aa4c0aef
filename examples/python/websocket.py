"""A WebSocket as RFC 6455 has it, as far as a client of Carillon needs it. Standard library only.

One task may receive while others send. Pings are answered in passing. Whatever ends the connection, `receive` raises
`Closed` with the code, the reason, and whether the server said so (1006: it just ended).
"""

import asyncio
import base64
import hashlib
import os
import ssl
import struct
from urllib.parse import urlsplit

MESSAGE_BYTES_MAX = 16 << 20
HEAD_BYTES_MAX = 16 << 10
# A node that hangs accepts connections all the same: not long, as there may be another address.
HANDSHAKE_SECONDS = 5
# The server pings every 25 seconds. Nothing for longer than this: it is gone, and nobody told us.
SILENCE_SECONDS = 40

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
ACCEPT_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Closed(Exception):
    """The connection has ended."""

    def __init__(self, code, reason=""):
        super().__init__(f"{code} {reason}".strip())
        self.code, self.reason = code, reason


class NotUpgraded(Exception):
    """The server answered the handshake with something else than a WebSocket."""

    def __init__(self, status, headers, body):
        super().__init__(f"HTTP {status}: {body.strip()}")
        self.status, self.headers, self.body = status, headers, body


class WebSocket:
    """An open connection; `open` makes one."""

    def __init__(self, reader, writer, subprotocol):
        self._reader, self._writer, self.subprotocol = reader, writer, subprotocol
        self._closing = False

    @classmethod
    async def open(cls, url, subprotocols=(), headers=(), tls=None):
        """Connects and shakes hands. `tls`: an `ssl.SSLContext` for wss, by default the system's."""
        to = urlsplit(url)
        secure = to.scheme == "wss"
        port = to.port or (443 if secure else 80)
        context = (tls or ssl.create_default_context()) if secure else None
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            reader, writer = await asyncio.open_connection(to.hostname, port, ssl=context, limit=HEAD_BYTES_MAX)
            try:
                return await cls._shake_hands(reader, writer, to, subprotocols, headers)
            except BaseException:
                writer.transport.abort()
                raise

    @classmethod
    async def _shake_hands(cls, reader, writer, to, subprotocols, headers):
        key = base64.b64encode(os.urandom(16))
        lines = [f"GET {to.path or '/'}{'?' + to.query if to.query else ''} HTTP/1.1", f"Host: {to.netloc}",
                 "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key.decode()}",
                 "Sec-WebSocket-Version: 13"]
        if subprotocols:
            lines.append("Sec-WebSocket-Protocol: " + ", ".join(subprotocols))
        lines += [f"{name}: {value}" for name, value in headers]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        try:
            status, answer = _head(await reader.readuntil(b"\r\n\r\n"))
            if status != 101:
                body = await reader.read(int(answer.get("content-length", 0)))
                raise NotUpgraded(status, answer, body.decode(errors="replace"))
        except (asyncio.IncompleteReadError, OSError) as error:
            raise Closed(1006, f"the handshake was cut off: {error}") from error
        accept = base64.b64encode(hashlib.sha1(key + ACCEPT_SALT).digest()).decode()
        if answer.get("sec-websocket-accept") != accept:
            raise Closed(1002, "not the answer to our key")
        chosen = answer.get("sec-websocket-protocol")
        if chosen is not None and chosen not in subprotocols:
            raise Closed(1002, f"{chosen} was not offered")
        return cls(reader, writer, chosen)

    async def send(self, text):
        """Sends a text message."""
        try:
            self._write(TEXT, text.encode())
            await self._writer.drain()
        except OSError as error:
            raise Closed(1006, str(error)) from error

    async def receive(self):
        """The next text message."""
        message = None
        while True:
            final, opcode, payload = await self._frame()
            if opcode == PING:
                self._write(PONG, payload)
            elif opcode == CLOSE:
                await self._said_goodbye(payload)
            elif opcode in (TEXT, 0x0):
                if (opcode == TEXT) != (message is None):
                    self._fail(1002, "fragments out of order")
                message = (message or b"") + payload
                if len(message) > MESSAGE_BYTES_MAX:
                    self._fail(1009, "a message over the limit")
                if final:
                    return self._text(message)
            elif opcode == BINARY:
                self._fail(1003, "the protocol has no binary messages")
            elif opcode != PONG:
                self._fail(1002, f"opcode {opcode}")

    async def close(self, code=1000):
        """Says goodbye and waits a moment for the server's."""
        try:
            if not self._closing:
                self._closing = True
                self._write(CLOSE, struct.pack("!H", code))
            async with asyncio.timeout(2):
                while True:
                    await self.receive()
        except (Closed, TimeoutError):
            self.abort()

    def abort(self):
        """Lets go without a word, as a lost network does."""
        self._writer.transport.abort()

    async def _frame(self):
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                first, second = await self._reader.readexactly(2)
                if first & 0x70 or second & 0x80:
                    self._fail(1002, "a reserved bit, or a masked frame")
                length = second & 0x7F
                if length == 126:
                    (length,) = struct.unpack("!H", await self._reader.readexactly(2))
                elif length == 127:
                    (length,) = struct.unpack("!Q", await self._reader.readexactly(8))
                if length > MESSAGE_BYTES_MAX:
                    self._fail(1009, "a frame over the limit")
                return bool(first & 0x80), first & 0x0F, await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError) as error:  # a TimeoutError is an OSError
            self.abort()
            is_cut = isinstance(error, asyncio.IncompleteReadError)
            raise Closed(1006, "the connection was cut" if is_cut else str(error) or "silence") from error

    async def _said_goodbye(self, payload):
        if not self._closing and not self._writer.is_closing():
            self._closing = True
            self._write(CLOSE, payload[:2])
        self._writer.close()
        code = struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else 1005
        raise Closed(code, payload[2:].decode(errors="replace"))

    def _write(self, opcode, payload):
        if self._writer.is_closing():
            raise Closed(1006, "the connection has ended")
        length = len(payload)
        if length < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
        elif length < 1 << 16:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
        mask = os.urandom(4)
        self._writer.write(head + mask + _masked(payload, mask))

    def _text(self, message):
        try:
            return message.decode()
        except UnicodeDecodeError:
            self._fail(1007, "not UTF-8")

    def _fail(self, code, reason):
        if not self._writer.is_closing():
            self._write(CLOSE, struct.pack("!H", code))
        self._writer.close()
        raise Closed(code, reason)


def _head(head):
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return int(first.split(" ")[1]), {name.strip().lower(): value.strip() for name, value in pairs}


def _masked(payload, mask):
    length = len(payload)
    repeated = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(length, "big")
