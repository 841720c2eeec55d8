"""Starts the real service as a child process, with a real SMTP server, and talks to it with stubs made from the protos."""

import atexit
import email
import email.policy
import importlib
import itertools
import json
import logging
import os
import pathlib
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import grpc
from aiosmtpd.controller import BaseThreadedController
from aiosmtpd.smtp import AuthResult
from grpc_status import rpc_status
from google.rpc import error_details_pb2
from grpc_tools import protoc

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("COUNTERSIGN_BIN", ROOT / "target" / "debug" / "countersign"))
# A bound against hanging, not a measure: a busy machine is slow.
PATIENCE_S = 30
# The refusals that tests provoke are no news.
logging.getLogger("mail.log").addHandler(logging.NullHandler())

# Dotted keys, so that what a test adds may begin with more keys of the same tables.
SETTINGS = """
profile = "development"
data_dir = {data_dir}
grpc.listen = "127.0.0.1:0"
http.listen = "127.0.0.1:0"
admin.listen = "127.0.0.1:0"
"""
# What the service says of its listeners at the start.
LISTENER = re.compile(r"\s+(gRPC|HTTP|admin)\s+(?:http://)?127\.0\.0\.1:(\d+)\b")
FROM = "codes@example.org"


def toml(values):
    """Keys and values in TOML; text and numbers are written there as in JSON."""
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())


def mail_settings(port, **more):
    """The settings of e-mail by an SMTP server on this port: plain, unless `more` says otherwise."""
    sender = {"kind": "smtp", "host": "127.0.0.1", "port": port, "tls": "none", "from": f"Example Bank <{FROM}>", **more}
    return f'[senders.mail]\n{toml(sender)}\n[routes.email]\nsenders = ["mail"]\n'


def make_stubs():
    """Compiles the public protos and gives the modules of their messages, errors and calls."""
    out = tempfile.mkdtemp(prefix="countersign-stubs-")
    atexit.register(shutil.rmtree, out, ignore_errors=True)
    well_known = pathlib.Path(protoc.__file__).parent / "_proto"
    files = sorted((ROOT / "proto" / "countersign" / "v1").glob("*.proto"))
    names = [str(file.relative_to(ROOT / "proto")) for file in files]
    flags = [f"-I{ROOT / 'proto'}", f"-I{well_known}", f"--python_out={out}", f"--grpc_python_out={out}"]
    if protoc.main(["protoc", *flags, *names]) != 0:
        raise RuntimeError("the protos do not compile")
    sys.path.insert(0, out)
    modules = ["verification_pb2", "verification_service_pb2", "verification_service_pb2_grpc"]
    return [importlib.import_module(f"countersign.v1.{name}") for name in modules]


model, calls, stubs = make_stubs()


serial = itertools.count(1)


class Listener(BaseThreadedController):
    """An SMTP server on a port that is bound before anybody is told of it."""

    def __init__(self, handler, **options):
        super().__init__(handler, ready_timeout=PATIENCE_S, **options)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]

    def _create_server(self):
        return self.loop.create_server(self._factory_invoker, sock=self.socket, ssl=self.ssl_context)

    def _trigger_server(self):
        socket.create_connection(("127.0.0.1", self.port), PATIENCE_S).close()


class Mailbox:
    """Takes every mail at an SMTP server that is not ours; `options` are those of `aiosmtpd`."""

    def __init__(self, login=None, **options):
        """With `login`, a user name and password, it lets in who knows both."""
        self.login = login
        self.mails = queue.Queue()
        # What was said before any mail.
        self.logins, self.recipients = [], []
        if login:
            options["authenticator"] = self._authenticate
        self.controller = Listener(self, **options)
        self.controller.start()
        self.port = self.controller.port

    def _authenticate(self, _server, _session, _envelope, _mechanism, given):
        login = (given.login.decode(), given.password.decode())
        self.logins.append(login)
        # Not handled: the server is to say no by itself.
        return AuthResult(success=login == self.login, handled=False)

    async def handle_RCPT(self, server, session, envelope, address, options):
        self.recipients.append(address)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.put((envelope.mail_from, envelope.rcpt_tos, mail))
        return "250 OK"

    def next(self):
        """Sender, recipients and mail, in the order of arrival."""
        return self.mails.get(timeout=PATIENCE_S)

    def next_to(self, address):
        """The next mail to this address; others are dropped."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            _, recipients, mail = self.mails.get(timeout=max(0.001, deadline - time.monotonic()))
            if recipients == [address]:
                return mail

    def stop(self):
        self.controller.stop()


class Service:
    """One process of the service on ports of its own; ready once it says so."""

    def __init__(self, settings, roots=None):
        """With `roots`, certificate authorities in PEM, it is called over TLS."""
        self.folder = tempfile.TemporaryDirectory(prefix="countersign-")
        folder = pathlib.Path(self.folder.name)
        data_dir = folder / "data"
        config = folder / "countersign.toml"
        config.write_text(SETTINGS.format(data_dir=json.dumps(str(data_dir))) + settings, encoding="utf-8")
        self.log = folder / "stderr.log"
        with self.log.open("wb") as log:
            command = [BINARY, "serve", "--config", config]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder)
        self.lines, self.ports = [], {}
        self.ready = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.ready.wait(PATIENCE_S)
        if len(self.ports) != 3:
            self.process.kill()
            said = "".join(self.lines) + self.log.read_text()
            self.stop()
            raise RuntimeError(f"the service did not get ready:\n{said}")
        self.grpc_address = f"127.0.0.1:{self.ports['gRPC']}"
        self.http_port, self.admin_port = self.ports["HTTP"], self.ports["admin"]
        key = (data_dir / "development.key").read_text().strip()
        self.metadata = (("authorization", f"Bearer {key}"),)
        if roots:
            self.channel = grpc.secure_channel(self.grpc_address, grpc.ssl_channel_credentials(roots))
        else:
            self.channel = grpc.insecure_channel(self.grpc_address)
        self.verifications = stubs.VerificationServiceStub(self.channel)

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)
            if found := LISTENER.match(line):
                self.ports[found[1]] = int(found[2])
            if len(self.ports) == 3:
                self.ready.set()
        # It ended: whoever waits need not wait on.
        self.ready.set()

    def call(self, name, request):
        return getattr(self.verifications, name)(request, metadata=self.metadata, timeout=PATIENCE_S)

    def start(self, address=None, channel=model.CHANNEL_EMAIL, **fields):
        """Starts for a new subject; gives the verification and the address."""
        number = next(serial)
        address = address or f"anna{number}@example.org"
        fields = {"subject": f"customer-{number}", "action": "login", "locale": "en", **fields}
        recipients = [model.Recipient(channel=channel, address=address)]
        request = calls.StartVerificationRequest(recipients=recipients, request_id=f"request-{number}", **fields)
        return self.call("StartVerification", request).verification, address

    def check(self, verification, code, attempt_id="a1"):
        request = calls.CheckCodeRequest(
            verification_id=verification.verification_id,
            code=code,
            entry_mode=model.ENTRY_MODE_PORTAL,
            attempt_id=attempt_id,
        )
        return self.call("CheckCode", request)

    def watch(self, verification):
        request = calls.WatchVerificationRequest(verification_id=verification.verification_id)
        return self.call("WatchVerification", request)

    def logged(self, message):
        """Waits until the log has this message."""
        end = time.monotonic() + PATIENCE_S
        while message not in self.log.read_text():
            if time.monotonic() > end:
                raise AssertionError(f"the log never says {message!r}:\n{self.log.read_text()}")
            time.sleep(0.05)

    def delivered(self, verification):
        """The one delivery of a verification, once it is decided."""
        stream = self.watch(verification)
        for answer in stream:
            (delivery,) = answer.verification.deliveries
            if delivery.status != model.DELIVERY_STATUS_QUEUED:
                stream.cancel()
                return delivery
        raise AssertionError("the stream ended before the delivery was decided")

    def terminate(self):
        """Asks it to end, and gives its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def stop(self):
        if hasattr(self, "channel"):
            self.channel.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join(PATIENCE_S)
        self.process.stdout.close()
        self.folder.cleanup()


def code_of(mail):
    """The one code in the text part of a mail."""
    return code_in(mail.get_body(("plain",)).get_content())


def code_in(text):
    """The one code in a text: 6 to 8 digits, with single spaces or hyphens or without."""
    found = re.findall(r"(?<!\d)\d(?:[ -]?\d){5,7}(?!\d)", text)
    if len(found) != 1:
        raise AssertionError(f"{len(found)} codes in one message")
    return re.sub(r"[ -]", "", found[0])


def wrong(code):
    return code[:-1] + ("0" if code[-1] == "9" else "9")


def reason_of(error):
    """The reason of a failed call, from `google.rpc.ErrorInfo`."""
    for detail in rpc_status.from_call(error).details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info.domain, info.reason
    return None


def fields_of(error):
    """The fields at fault of a failed call, from `google.rpc.BadRequest`."""
    for detail in rpc_status.from_call(error).details:
        request = error_details_pb2.BadRequest()
        if detail.Unpack(request):
            return [violation.field for violation in request.field_violations]
    return []
