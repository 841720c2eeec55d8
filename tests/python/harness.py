"""Starts the real service as a child process, with a real SMTP server, and talks to it with stubs made from the protos."""

import email
import email.policy
import importlib
import os
import pathlib
import queue
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import grpc
from aiosmtpd.controller import Controller
from grpc_status import rpc_status
from google.rpc import error_details_pb2
from grpc_tools import protoc

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("COUNTERSIGN_BIN", ROOT / "target" / "debug" / "countersign"))
# A bound against hanging, not a measure: a busy machine is slow.
PATIENCE_S = 30

SETTINGS = """
profile = "development"
data_dir = "{data_dir}"

[grpc]
listen = "127.0.0.1:{grpc}"

[http]
listen = "127.0.0.1:{http}"

[admin]
listen = "127.0.0.1:{admin}"

[senders.mail]
kind = "smtp"
host = "127.0.0.1"
port = {smtp}
tls = "none"
from = "Example Bank <codes@example.org>"

[routes.email]
senders = ["mail"]
"""


def make_stubs():
    """Compiles the public protos and gives the modules of their messages, errors and calls."""
    out = tempfile.mkdtemp(prefix="countersign-stubs-")
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


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Mailbox:
    """Takes every mail at an SMTP server that is not ours."""

    def __init__(self):
        self.mails = queue.Queue()
        self.controller = Controller(self, hostname="127.0.0.1", port=free_port())
        self.controller.start()

    async def handle_DATA(self, server, session, envelope):
        self.mails.put((envelope.rcpt_tos, email.message_from_bytes(envelope.content, policy=email.policy.default)))
        return "250 OK"

    def next_to(self, address):
        """The next mail to this address; others are dropped."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            recipients, mail = self.mails.get(timeout=max(0.001, deadline - time.monotonic()))
            if recipients == [address]:
                return mail

    def stop(self):
        self.controller.stop()


class Service:
    """One process of the service on ports of its own; ready once it says so."""

    def __init__(self, smtp_port):
        self.folder = tempfile.TemporaryDirectory(prefix="countersign-")
        data_dir = pathlib.Path(self.folder.name) / "data"
        self.grpc_port, self.http_port, self.admin_port = free_port(), free_port(), free_port()
        settings = pathlib.Path(self.folder.name) / "countersign.toml"
        settings.write_text(
            SETTINGS.format(
                data_dir=data_dir, grpc=self.grpc_port, http=self.http_port, admin=self.admin_port, smtp=smtp_port
            )
        )
        self.process = subprocess.Popen(
            [BINARY, "serve", "--config", settings], stdout=subprocess.PIPE, text=True, cwd=self.folder.name
        )
        self.lines = []
        self.ready = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if not self.ready.wait(PATIENCE_S) or self.process.poll() is not None:
            self.stop()
            raise RuntimeError("the service did not get ready: " + "".join(self.lines))
        key = (data_dir / "development.key").read_text().strip()
        self.metadata = (("authorization", f"Bearer {key}"),)
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}")
        self.verifications = stubs.VerificationServiceStub(self.channel)

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)
            if "listening" in line:
                self.ready.set()
        # It ended: whoever waits need not wait on.
        self.ready.set()

    def call(self, name, request):
        return getattr(self.verifications, name)(request, metadata=self.metadata, timeout=PATIENCE_S)

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
