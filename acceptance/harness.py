"""Starts a real `vouchsafe serve`, talks to it over HTTPS, and stops it.

The tests know the product only from outside: its command line, its ready line, its CA file, its
HTTP answers. The binary is `VOUCHSAFE_BIN`, or the release build of this checkout.
"""

import base64
import http.client
import json
import os
import queue
import signal
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
READY_TIMEOUT_SECS = 60
STOP_TIMEOUT_SECS = 20
# Every status that is not "not genuine": the tests replay evidence of machines long out of date.
ALL_TCB_STATUSES = [
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
]


def binary():
    """The `vouchsafe` under test."""
    given = os.environ.get("VOUCHSAFE_BIN")
    if given:
        return Path(given)
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target"))
    return target / "release" / "vouchsafe"


def run(*args, input=None, env=None, timeout=60, cwd=None):
    """Runs one `vouchsafe` command to its end, as a user would type it, and shows it."""
    command = [str(binary()), *map(str, args)]
    done = subprocess.run(
        command,
        input=input,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **(env or {})},
        cwd=cwd,
    )
    shown = " ".join(command[1:])
    print(f"$ vouchsafe {shown}\n  exit {done.returncode}, {len(done.stdout)} bytes out, stderr: {done.stderr.strip()[:400]!r}")
    return done


@dataclass
class Answer:
    """One HTTP answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """The `error` object of an error answer."""
        return self.json()["error"]

    @property
    def token(self):
        """The token of a successful attestation."""
        assert self.status == 200, (self.status, self.body[:800])
        return self.json()["token"]


class Service:
    """A `vouchsafe serve` process with its own data directory."""

    def __init__(self, *args, data_dir=None, listen="127.0.0.1:0", env=None):
        self._temp = None if data_dir else tempfile.TemporaryDirectory(prefix="vouchsafe-acceptance-")
        self.data_dir = Path(data_dir or self._temp.name)
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.args = [str(arg) for arg in args]
        self.listen = listen
        self.env = env or {}
        self.uri = None
        self.process = None
        self.stdout = []

    def start(self):
        log = self.data_dir.parent / f"{self.data_dir.name}.log"
        self.log = log
        command = [str(binary()), "serve", "--data-dir", str(self.data_dir), "--listen", self.listen, *self.args]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log.open("ab"),
            text=True,
            env={**os.environ, **self.env},
        )
        lines = queue.Queue()
        threading.Thread(target=self._drain, args=(lines,), daemon=True).start()
        deadline = time.monotonic() + READY_TIMEOUT_SECS
        while self.uri is None:
            try:
                line = lines.get(timeout=max(0.1, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                self.process.kill()
                raise AssertionError(f"no ready line from {command}; standard error:\n{self.stderr()}")
            if line.startswith("ready "):
                self.uri = line.split()[1]
        self.ca = self.data_dir / "ca.pem"
        assert self.ca.is_file(), "serve is ready but DIR/ca.pem is not there"
        return self

    def _drain(self, lines):
        for line in self.process.stdout:
            self.stdout.append(line.rstrip("\n"))
            lines.put(line.rstrip("\n"))
        lines.put(None)

    def stop(self, with_signal=signal.SIGTERM):
        """Asks the service to stop and gives back its exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            return self.process.wait(STOP_TIMEOUT_SECS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"serve did not stop within {STOP_TIMEOUT_SECS} s; standard error:\n{self.stderr()}")

    def close(self):
        self.stop()
        if self._temp:
            self._temp.cleanup()
            self.log.unlink(missing_ok=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    def stderr(self):
        return self.log.read_text(errors="replace")

    @property
    def address(self):
        at = urllib.parse.urlsplit(self.uri)
        return at.hostname, at.port

    def tls(self):
        return ssl.create_default_context(cafile=str(self.ca))

    def request(self, method, path, body=None, headers=None, timeout=60):
        """One request; a `Host` among the headers replaces the true one. JSON is made of a dict or list."""
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        elif isinstance(body, str):
            body = body.encode()
        host, port = self.address
        connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=self.tls())
        try:
            connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            if body is not None:
                try:
                    connection.send(body)
                except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
                    pass  # the service may answer and close before it has read an oversized body
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def attest(self, item, version="2020-10-01", headers=None, **fields):
        """Posts one piece of evidence as the SDKs do."""
        body = {item.field: b64url(item.evidence), **fields}
        return self.request("POST", f"/attest/{item.kind}?api-version={version}", body, headers)


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def b64url_decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def decode(token):
    """Header and claims of a compact JWS, unchecked."""
    header, claims, _ = token.split(".")
    return json.loads(b64url_decode(header)), json.loads(b64url_decode(claims))
