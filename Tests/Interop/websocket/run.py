"""Drives PluginKit's sockets, TLS, WebSocket and HTTP code against real third-party servers.

usage: run.py PROBE     PROBE is the built kit-probe program
"""
import asyncio
import datetime
import ipaddress
import logging
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

import websockets
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.server import serve

PROBE = sys.argv[1]
logging.getLogger("websockets").setLevel(logging.CRITICAL)  # connections are broken on purpose here
passed, failed = 0, 0


def check(name, condition, seen):
    global passed, failed
    if condition:
        passed += 1
        print(f"ok    {name}")
    else:
        failed += 1
        print(f"FAIL  {name}\n      saw: {seen}")


async def probe(*words):
    process = await asyncio.create_subprocess_exec(PROBE, *words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, output.decode().strip()


# ---- a certificate authority for the tests

def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def issue(folder, file, subject_names, authority=None, days=(-1, 30)):
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.timezone.utc)
    issuer_name, issuer_key = (name(file), key) if authority is None else (authority[0].subject, authority[1])
    builder = (
        x509.CertificateBuilder().subject_name(name(file)).issuer_name(issuer_name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0])).not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True))
    if subject_names:
        builder = builder.add_extension(x509.SubjectAlternativeName(subject_names), critical=False)
    certificate = builder.sign(issuer_key, hashes.SHA256())
    (folder / f"{file}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{file}.key").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return certificate, key


def server_context(folder, file):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{file}.pem", folder / f"{file}.key")
    return context


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def fragments(connection):
    await connection.ping(b"are you there")
    await connection.send(["in ", "three ", "parts"])
    await connection.close(4001, "enough")


async def too_large(connection):
    for _ in range(3):
        await connection.send("x" * (20 << 20))
    await connection.wait_closed()


async def websocket_tests(folder):
    async with serve(echo, "127.0.0.1", 0, max_size=None) as server:
        port = server.sockets[0].getsockname()[1]
        code, text = await probe("echo", f"ws://127.0.0.1:{port}/")
        check("plain echo, all sizes, orderly close", code == 0 and "echoed 16" in text and "code 1000" in text, text)
        code, text = await probe("echo", f"ws://localhost:{port}/")
        check("by name through the resolver thread", code == 0 and "echoed 16" in text, text)
    async with serve(fragments, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        _, text = await probe("close", f"ws://127.0.0.1:{port}/")
        check("ping answered, fragments joined, close code and reason", text == "14 bytes of text, then closed with code 4001 (enough)", text)
    async with serve(too_large, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        _, text = await probe("close", f"ws://127.0.0.1:{port}/")
        check("a message above the limit ends the connection", "16777216 at most" in text, text)

    def refuse(connection, request):
        return connection.respond(403, "not you\n")

    async with serve(echo, "127.0.0.1", 0, process_request=refuse) as server:
        port = server.sockets[0].getsockname()[1]
        _, text = await probe("close", f"ws://127.0.0.1:{port}/")
        check("a refused upgrade names the status", "HTTP 403" in text, text)

    async def silent(reader, writer):
        request = await reader.readuntil(b"\r\n\r\n")
        key = next(line.split(b": ", 1)[1] for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
                     + websockets.utils.accept_key(key.decode()).encode() + b"\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, text = await probe("silent", f"ws://127.0.0.1:{port}/")
        check("a silent server is found out by its missing pong", "a ping unanswered" in text, text)
    _, text = await probe("close", f"ws://127.0.0.1:{port}/")
    check("nobody listening: refused, named", "can't connect" in text and "refused" in text, text)
    _, text = await probe("close", "ws://no-such-host.invalid/")
    check("a name without an address", "can't find the address of no-such-host.invalid" in text, text)


async def tls_tests(folder):
    authority = issue(folder, "authority", [])
    local = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    issue(folder, "good", local, authority)
    issue(folder, "elsewhere", [x509.DNSName("elsewhere.example")], authority)
    issue(folder, "expired", local, authority, days=(-30, -1))
    issue(folder, "stranger", local)
    roots = str(folder / "authority.pem")

    async def against(file, *words):
        async with serve(echo, "127.0.0.1", 0, ssl=server_context(folder, file), max_size=None) as server:
            port = server.sockets[0].getsockname()[1]
            return await probe("echo", f"wss://localhost:{port}/", *words)

    code, text = await against("good", "--roots", roots)
    check("TLS echo with a test authority", code == 0 and "echoed 16" in text, text)
    code, text = await against("good")
    check("unknown authority refused", code == 1 and "certificate is not valid" in text, text)
    code, text = await against("elsewhere", "--roots", roots)
    check("wrong host name refused", code == 1 and "ostname mismatch" in text, text)
    code, text = await against("expired", "--roots", roots)
    check("expired certificate refused", code == 1 and "expired" in text, text)
    code, text = await against("stranger", "--roots", roots)
    check("self-signed stranger refused", code == 1 and "certificate is not valid" in text, text)

    async def not_tls(reader, writer):
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(not_tls, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        code, text = await probe("echo", f"wss://localhost:{port}/", "--roots", roots)
        check("a server that doesn't speak TLS", code == 1 and "no secure connection" in text, text)


async def http_tests():
    async def handle(reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
                length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0)
                body = await reader.readexactly(length)
                if target == "/chunked":
                    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                    for _ in range(3):
                        writer.write(b"4\r\nabcd\r\n")
                        await writer.drain()
                        await asyncio.sleep(0.01)
                    writer.write(b"0\r\n\r\n")
                elif target == "/vanish":
                    writer.close()
                    return
                elif target == "/hang":
                    await reader.read()
                    return
                elif target == "/close":
                    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end")
                    writer.close()
                    return
                else:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    code, text = await probe("http", f"http://127.0.0.1:{port}", "POST /echo hello", "GET /chunked", "GET /close", "GET /vanish", "POST /echo again")
    lines = text.splitlines()
    check("length, chunks, end of connection, a vanished server in doubt, then on again", lines[:3] == ["200 5 hello", "200 12 abcdabcdabcd", "200 10 to the end"]
          and lines[3].startswith("failure sent, but not answered") and lines[4] == "200 5 again", text)
    code, text = await probe("http", f"http://127.0.0.1:{port}", "GET /hang", "POST /echo next")
    lines = text.splitlines()
    check("a hanging answer times out in doubt and the next request goes through", lines[0].startswith("failure sent, but not answered") and lines[1] == "200 4 next", text)
    server.close()
    _, text = await probe("http", "http://127.0.0.1:1", "GET /")
    check("nobody listening: certainly not sent", text.startswith("failure not sent"), text)
    # Python's own server and ours agree on a real file listing.
    with tempfile.TemporaryDirectory() as served:
        (Path(served) / "a.txt").write_text("served by http.server\n")
        process = await asyncio.create_subprocess_exec(sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", served,
                                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        line = (await process.stdout.readline()).decode()
        code, text = await probe("http", f"http://127.0.0.1:{line.split('port ')[1].split(' ')[0]}", "GET /a.txt", "GET /b.txt")
        process.terminate()
        await process.wait()
        check("python's http.server", text.splitlines()[0] == "200 22 served by http.server" and text.splitlines()[2].startswith("404"), text)


async def main():
    with tempfile.TemporaryDirectory() as folder:
        await websocket_tests(Path(folder))
        await tls_tests(Path(folder))
    await http_tests()


asyncio.run(main())
print(f"websocket interop (websockets {websockets.__version__}): {passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
