"""The Twilio preset against Twilio's own description of its API, held to it by a server that is not ours."""

import json
import pathlib
import socket
import subprocess
import tempfile
import time
import unittest

from harness import PATIENCE_S, ROOT, Service, model, toml

NODE = ROOT / "tests" / ".node" / "node_modules"
PRISM = NODE / ".bin" / "prism"
DESCRIPTION = NODE / "@twilio" / "cli-core" / "src" / "services" / "twilio-api" / "twilio_api_v2010.json"
# Of the form that the description demands.
ACCOUNT = "AC" + "0123456789abcdef" * 2
CONTENT = "HX" + "0123456789abcdef" * 2
NUMBER = "+31612345678"


class Prism:
    """Answers as the description says, and with 422 to every request that it does not allow."""

    def __init__(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.log = tempfile.TemporaryFile()
        command = [PRISM, "mock", "--errors", "--host", "127.0.0.1", "--port", str(self.port), DESCRIPTION]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 2 * PATIENCE_S
        while not self.accepts():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError("prism did not get ready; tests/run installs it")
            time.sleep(0.1)

    def accepts(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


class Twilio(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.prism = Prism()
        cls.addClassCleanup(cls.prism.stop)
        cls.folder = tempfile.TemporaryDirectory(prefix="countersign-secrets-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.token = pathlib.Path(cls.folder.name) / "twilio"
        cls.token.write_text("0123456789abcdef0123456789abcdef\n")

    def service(self, **values):
        sender = {
            "kind": "twilio",
            "account_sid": ACCOUNT,
            "auth_token_file": str(self.token),
            "from": "+15005550006",
            "whatsapp_from": "+15005550006",
            "whatsapp_content_sid": CONTENT,
            "voice_from": "+15005550006",
            "base_url": f"http://127.0.0.1:{self.prism.port}",
            **values,
        }
        # A list is written in TOML as in JSON.
        allowed = f"allow_hosts = {json.dumps([f'127.0.0.1:{self.prism.port}'])}\n"
        routes = "".join(f'[routes.{channel}]\nsenders = ["twilio"]\n' for channel in ("sms", "whatsapp", "voice"))
        public = 'http.public_url = "https://otp.bank.example"\n'
        service = Service(f"{public}[senders.twilio]\n{toml(sender)}{allowed}{routes}")
        self.addCleanup(service.stop)
        return service

    def test_its_requests_are_what_twilio_describes(self):
        service = self.service()
        for channel in (model.CHANNEL_SMS, model.CHANNEL_WHATSAPP, model.CHANNEL_VOICE):
            verification, _ = service.start(NUMBER, channel, locale="nl")
            delivery = service.delivered(verification)
            self.assertEqual(delivery.status, model.DELIVERY_STATUS_SENT, delivery.failure)
            self.assertEqual(delivery.sender, "twilio")

    def test_a_request_that_twilio_does_not_describe_would_be_seen(self):
        service = self.service(account_sid="nobody")
        verification, _ = service.start(NUMBER, model.CHANNEL_SMS)
        delivery = service.delivered(verification)
        self.assertEqual((delivery.status, delivery.failure), (model.DELIVERY_STATUS_FAILED, "sender_refused"))


if __name__ == "__main__":
    unittest.main()
