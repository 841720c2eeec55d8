"""The example of a plug-in, started as its README says, with the real service in front of it."""

import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from harness import PATIENCE_S, ROOT, Service, calls, code_in, model

PLUGIN = ROOT / "deploy" / "plugins" / "file_sender.py"
NUMBER = "+31612345678"


class Plugin(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="countersign-plugin-")
        self.addCleanup(folder.cleanup)
        self.out = pathlib.Path(folder.name) / "messages.jsonl"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        routes = "".join(f'[routes.{channel}]\nsenders = ["own"]\n' for channel in ("sms", "voice"))
        sender = f'kind = "plugin"\nchannels = ["sms", "voice"]\naddress = "http://{self.address}"\n'
        self.service = Service(f"[senders.own]\n{sender}{routes}")
        self.addCleanup(self.service.stop)

    def start_plugin(self):
        command = [sys.executable, PLUGIN, "--listen", self.address, "--out", self.out]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertIn("listening", process.stdout.readline())
        return process

    def messages(self):
        return [json.loads(line) for line in self.out.read_text(encoding="utf-8").splitlines()]

    def test_a_message_goes_by_the_plugin_and_its_code_approves(self):
        self.start_plugin()
        verification, _ = self.service.start(NUMBER, model.CHANNEL_SMS, locale="fr")
        delivery = self.service.delivered(verification)
        self.assertEqual((delivery.status, delivery.sender), (model.DELIVERY_STATUS_SENT, "own"))
        (message,) = self.messages()
        self.assertEqual((message["channel"], message["address"], message["language"]), ("CHANNEL_SMS", NUMBER, "fr"))
        answer = self.service.check(verification, code_in(message["text"]))
        self.assertEqual(answer.verdict, calls.VERDICT_APPROVED)

    def test_a_call_has_a_greeting_without_the_code(self):
        self.start_plugin()
        verification, _ = self.service.start(NUMBER, model.CHANNEL_VOICE, locale="en")
        self.assertEqual(self.service.delivered(verification).status, model.DELIVERY_STATUS_SENT)
        (message,) = self.messages()
        self.assertIn("Press any key", message["greeting"])
        self.assertFalse(any(c.isdigit() for c in message["greeting"]))
        self.assertIn("say-as", message["ssml"])

    def test_a_plugin_that_comes_late_still_gets_the_message_once(self):
        verification, _ = self.service.start(NUMBER, model.CHANNEL_SMS)
        # The first try finds nobody.
        deadline = time.monotonic() + PATIENCE_S
        request = calls.GetVerificationRequest(verification_id=verification.verification_id)
        while self.service.call("GetVerification", request).verification.deliveries[0].tries < 1:
            self.assertLess(time.monotonic(), deadline)
        self.start_plugin()
        self.assertEqual(self.service.delivered(verification).status, model.DELIVERY_STATUS_SENT)
        self.assertEqual(len(self.messages()), 1)


if __name__ == "__main__":
    unittest.main()
