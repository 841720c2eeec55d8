"""Text messages over SMPP, with a message centre by a library that is not ours."""

import json
import pathlib
import queue
import subprocess
import tempfile
import threading
import time
import unittest

import trustme

from harness import PATIENCE_S, ROOT, Service, calls, code_in, model, toml

CENTER = ROOT / "tests" / "npm" / "smsc.js"
LIBRARY = ROOT / "tests" / ".node" / "node_modules" / "smpp"
NUMBER = "+31612345678"
PASSWORD = "secret08"
THROTTLED, INVALID_DESTINATION = 0x58, 0x0B


class Center:
    """A message centre: a process of its own, on loopback."""

    def __init__(self, port=0, **options):
        options = {"system_id": "bank", "password": PASSWORD, "port": port, **options}
        command = ["node", str(CENTER), str(LIBRARY), json.dumps(options)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.facts, self.kept = queue.Queue(), []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.port = self.next("ready")["port"]

    def _read(self):
        for line in self.process.stdout:
            self.facts.put(json.loads(line))

    def next(self, event):
        """The next fact of this kind; others wait for whoever asks for them."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            for at, fact in enumerate(self.kept):
                if fact["event"] == event:
                    return self.kept.pop(at)
            self.kept.append(self.facts.get(timeout=max(0.001, deadline - time.monotonic())))

    def all(self, event):
        """What it told of this kind until now, and nobody asked for."""
        self.kept += [self.facts.get() for _ in range(self.facts.qsize())]
        found = [fact for fact in self.kept if fact["event"] == event]
        self.kept = [fact for fact in self.kept if fact["event"] != event]
        return found

    def order(self, **order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        self.next("obeyed")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.reader.join(PATIENCE_S)
        self.process.stdin.close()
        self.process.stdout.close()


class Smpp(unittest.TestCase):
    def center(self, *arguments, **options):
        center = Center(*arguments, **options)
        self.addCleanup(center.kill)
        return center

    def service(self, port, password=PASSWORD, more="", **values):
        folder = tempfile.TemporaryDirectory(prefix="countersign-secrets-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        secret = self.folder / "password"
        secret.write_text(password + "\n")
        sender = {
            "kind": "smpp",
            "host": "127.0.0.1",
            "port": port,
            "tls": "none",
            "system_id": "bank",
            "password_file": str(secret),
            "from": "Bank",
            **values,
        }
        service = Service(f'{more}[senders.center]\n{toml(sender)}[routes.sms]\nsenders = ["center"]\n')
        self.addCleanup(service.stop)
        return service

    def start(self, service, number=NUMBER, **fields):
        return service.start(number, model.CHANNEL_SMS, **fields)[0]

    def until(self, service, verification, status):
        """Waits until the delivery of a verification stands so, and gives it."""
        stream = service.watch(verification)
        for answer in stream:
            (delivery,) = answer.verification.deliveries
            if delivery.status == status:
                stream.cancel()
                return delivery
        raise AssertionError("the stream ended before")

    def approves(self, service, verification, text):
        self.assertEqual(service.check(verification, code_in(text)).verdict, calls.VERDICT_APPROVED)

    def test_a_code_goes_out_and_its_receipts_come_back(self):
        center = self.center()
        service = self.service(center.port)
        verification = self.start(service)
        self.assertEqual(self.until(service, verification, model.DELIVERY_STATUS_SENT).sender, "center")
        bind = center.next("bind")
        self.assertEqual((bind["knows"], bind["version"]), (True, 0x34))
        submit = center.next("submit")
        self.assertEqual((submit["source"], submit["destination"]), ([5, 0, "Bank"], [1, 1, NUMBER[1:]]))
        self.assertEqual((submit["coding"], submit["registered"], submit["header"]), (0, 1, None))
        receipt = "id:{} sub:001 dlvrd:001 submit date:2511252000 done date:2511252001 stat:{} err:{} text:"
        center.order(deliver={"text": receipt.format(submit["id"], "DELIVRD", "000")})
        self.until(service, verification, model.DELIVERY_STATUS_DELIVERED)
        self.approves(service, verification, submit["text"])

        # The second says it in fields, beside a text that does not name the message.
        second = self.start(service)
        submit = center.next("submit")
        self.until(service, second, model.DELIVERY_STATUS_SENT)
        fields = {"receipted_message_id": submit["id"], "message_state": 5}
        center.order(deliver={"text": "stat:UNDELIV err:034", "fields": fields})
        delivery = self.until(service, second, model.DELIVERY_STATUS_UNDELIVERED)
        self.assertEqual(delivery.failure, "034")
        log = service.log.read_text()
        self.assertFalse(NUMBER[1:] in log or PASSWORD in log, "no number and no password in the log")

    def test_a_wrong_password_is_said_once_and_sends_nothing(self):
        center = self.center()
        service = self.service(center.port, password="wrong")
        verification = self.start(service)
        service.logged("sender refuses this service")
        self.until(service, verification, model.DELIVERY_STATUS_QUEUED)
        self.assertEqual(center.all("submit"), [])

    def test_texts_are_read_as_they_were_written(self):
        center = self.center()
        # The host is a line of its own at the end: what makes a message long.
        host = f"{'otp' * 20}.bank.example"
        for name, coding, parts in [
            ("Bank €[]{}", 0, 1),
            ("Żółć 日本", 8, 2),
            ("{€}" * 8, 0, 2),
            ("Żółć 😀" * 6, 8, 2),
        ]:
            wording = {"brand": name, "sms_ucs2": True, "sms_segments_max": 3, "web_host": host if parts > 1 and not coding else ""}
            more = toml({f"messages.{key}": value for key, value in wording.items()})
            service = self.service(center.port, more=more)
            verification = self.start(service)
            self.until(service, verification, model.DELIVERY_STATUS_SENT)
            submits = [center.next("submit") for _ in range(parts)]
            self.assertEqual([submit["coding"] for submit in submits], [coding] * parts, name)
            text = "".join(submit["text"] for submit in submits)
            self.assertIn(name, text)
            if parts > 1:
                headers = [submit["header"][0] for submit in submits]
                number = headers[0][2]
                self.assertEqual(headers, [[0, 3, number, parts, at] for at in range(1, parts + 1)])
                center.order(deliver={"text": f"id:{submits[-1]['id']} stat:DELIVRD err:000"})
                self.until(service, verification, model.DELIVERY_STATUS_DELIVERED)
            # The line for browsers says it once more.
            self.approves(service, verification, text.split("\n@")[0])
            service.terminate()
            center.next("unbind")

    def test_a_center_that_throttles_gets_the_message_later(self):
        center = self.center()
        service = self.service(center.port)
        center.order(refuse={"status": THROTTLED, "count": 2})
        verification = self.start(service)
        self.until(service, verification, model.DELIVERY_STATUS_SENT)
        self.approves(service, verification, center.next("submit")["text"])

    def test_a_number_that_is_none_is_given_up(self):
        center = self.center()
        service = self.service(center.port)
        center.order(refuse={"status": INVALID_DESTINATION, "count": 1})
        delivery = service.delivered(self.start(service))
        self.assertEqual((delivery.status, delivery.failure), (model.DELIVERY_STATUS_FAILED, "refused"))

    def test_a_center_that_dies_in_the_middle_loses_nothing(self):
        first = self.center()
        service = self.service(first.port, timeout_ms=3000)
        numbers = [f"+31612{at:03}678" for at in range(12)]
        verifications = {}
        for at, number in enumerate(numbers):
            if at == 4:
                first.order(mute=True)
            verifications[number] = self.start(service, number)
        heard = [first.next("submit") for _ in range(8)]
        first.kill()
        heard += first.all("submit")
        second = self.center(first.port)
        for verification in verifications.values():
            self.until(service, verification, model.DELIVERY_STATUS_SENT)
        heard += second.all("submit")
        for number, verification in verifications.items():
            texts = [submit["text"] for submit in heard if submit["destination"][2] == number[1:]]
            self.assertIn(len(texts), (1, 2), "nothing lost, and at most one too many")
            self.assertEqual(len({code_in(text) for text in texts}), 1, "the same code")
            self.approves(service, verification, texts[0])

    def test_it_is_encrypted_for_a_center_that_shows_its_certificate(self):
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        key, chain = certificate.private_key_pem.bytes().decode(), certificate.cert_chain_pems[0].bytes().decode()
        center = self.center(key=key, cert=chain)
        folder = tempfile.TemporaryDirectory(prefix="countersign-ca-")
        self.addCleanup(folder.cleanup)
        ca_file = pathlib.Path(folder.name) / "ca.pem"
        authority.cert_pem.write_to_path(ca_file)
        stranger = self.service(center.port, tls="implicit")
        delivery = stranger.delivered(self.start(stranger))
        self.assertEqual((delivery.status, delivery.failure), (model.DELIVERY_STATUS_FAILED, "tls_failed"))
        self.assertEqual(center.all("bind"), [], "it heard nothing of us")
        service = self.service(center.port, tls="implicit", ca_file=str(ca_file))
        verification = self.start(service)
        self.until(service, verification, model.DELIVERY_STATUS_SENT)
        self.approves(service, verification, center.next("submit")["text"])


if __name__ == "__main__":
    unittest.main()
