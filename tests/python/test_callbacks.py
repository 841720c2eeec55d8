"""What providers tell the service afterwards, signed by their own libraries, and calls as their own libraries read them."""

import hashlib
import http.client
import http.server
import json
import pathlib
import queue
import re
import tempfile
import threading
import time
import unittest
import urllib.parse
import uuid
import xml.etree.ElementTree as ElementTree

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from messagebird.error import ValidationError
from messagebird.request_validator import RequestValidator as MessageBirdValidator
from twilio.request_validator import RequestValidator
from vonage_jwt import verify_signature
from vonage_voice import CreateCallRequest, Talk

from harness import PATIENCE_S, Service, calls, model, toml

PUBLIC = "https://otp.bank.example"
NUMBER = "+31612345678"
SECRET = "0123456789abcdef0123456789abcdef"
CODE = re.compile(r"(?<!\d)\d(?:[ ,]+\d){5}(?!\d)")


class Provider(http.server.ThreadingHTTPServer):
    """Takes every message with the same answer, and keeps what it was asked."""

    def __init__(self, status, answer):
        self.requests = queue.Queue()
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                provider.requests.put((self.headers, body.decode()))
                reply = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Case(unittest.TestCase):
    def set_up(self, kind, channel, reply, keys, receipts=None):
        """A service whose one provider is played here."""
        folder = tempfile.TemporaryDirectory(prefix="countersign-secrets-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.secret = self.folder / "secret"
        self.secret.write_text(SECRET + "\n")
        self.provider = Provider(*reply)
        self.addCleanup(self.provider.server_close)
        self.addCleanup(self.provider.shutdown)
        host = f"127.0.0.1:{self.provider.server_port}"
        keys = {key: str(self.folder / value.name) if isinstance(value, pathlib.Path) else value for key, value in keys.items()}
        section = toml({"kind": kind, "base_url": f"http://{host}", **keys}) + f"allow_hosts = {json.dumps([host])}\n"
        if receipts is not None:
            section += f"receipts.secret_files = {json.dumps([str(self.secret)])}\n{receipts}"
        routes = f'[routes.{channel}]\nsenders = ["p"]\n'
        self.service = Service(f"http.public_url = {json.dumps(PUBLIC)}\n[senders.p]\n{section}{routes}")
        self.addCleanup(self.service.stop)

    def sent(self, channel, locale="nl"):
        """Starts; gives the verification and the request that the provider got."""
        verification, _ = self.service.start(NUMBER, channel, locale=locale)
        delivery = self.service.delivered(verification)
        self.assertEqual(delivery.status, model.DELIVERY_STATUS_SENT, delivery.failure)
        return verification, *self.provider.requests.get(timeout=PATIENCE_S)

    def call(self, method, url, headers, body=""):
        """Calls as the provider does, but the address of the machine itself."""
        connection = http.client.HTTPConnection("127.0.0.1", self.service.http_port, timeout=PATIENCE_S)
        self.addCleanup(connection.close)
        connection.request(method, url.removeprefix(PUBLIC), body=body.encode(), headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()

    def status(self, verification):
        request = calls.GetVerificationRequest(verification_id=verification.verification_id)
        found = self.service.call("GetVerification", request).verification
        self.assertEqual(found.status, model.VERIFICATION_STATUS_PENDING, "no callback decides")
        return found.deliveries[0].status

    def approves(self, verification, code):
        self.assertEqual(self.service.check(verification, code).verdict, calls.VERDICT_APPROVED)

    def codes(self, text):
        return [re.sub(r"\D", "", code) for code in CODE.findall(text)]


class Twilio(Case):
    keys = {"account_sid": "AC1", "auth_token_file": pathlib.Path("secret"), "from": "+15005550006", "voice_from": "+15005550006"}

    def tell(self, url, token=SECRET, **fields):
        signature = RequestValidator(token).compute_signature(url, fields)
        headers = {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"}
        return self.call("POST", url, headers, urllib.parse.urlencode(fields))

    def test_receipts_that_its_library_signs_are_taken_and_no_others(self):
        self.set_up("twilio", "sms", (201, {"sid": "SM1"}), self.keys)
        verification, _, body = self.sent(model.CHANNEL_SMS)
        url = urllib.parse.parse_qs(body)["StatusCallback"][0]
        fields = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": NUMBER, "Body": "a b+c&d=é"}
        self.assertEqual(self.tell(url, token="another", **fields)[0], 401)
        self.assertEqual(self.status(verification), model.DELIVERY_STATUS_SENT)
        self.assertEqual(self.tell(url, **fields)[0], 204)
        self.assertEqual(self.status(verification), model.DELIVERY_STATUS_DELIVERED)

    def test_a_call_says_the_code_once_a_key_is_pressed(self):
        self.set_up("twilio", "voice", (201, {"sid": "CA1"}), self.keys)
        verification, _, body = self.sent(model.CHANNEL_VOICE, locale="fr")
        form = urllib.parse.parse_qs(body)
        self.assertEqual(self.codes(body), [])
        gather = ElementTree.fromstring(form["Twiml"][0]).find("Gather")
        self.assertEqual((gather.get("numDigits"), gather.find("Say").get("language")), ("1", "fr-FR"))
        ask = gather.get("action")

        status, _, said = self.tell(ask, CallSid="CA1", Digits="")
        self.assertEqual((status, self.codes(said)), (200, []))
        self.assertEqual(self.tell(ask, token="another", CallSid="CA1", Digits="1")[0], 401)

        status, headers, said = self.tell(ask, CallSid="CA1", Digits="1")
        self.assertEqual((status, headers["cache-control"]), (200, "no-store"))
        sentences = [say.text for say in ElementTree.fromstring(said).findall("Say")]
        first, second = self.codes("\n".join(sentences))
        self.assertEqual(first, second)
        self.assertEqual(self.status(verification), model.DELIVERY_STATUS_DELIVERED)
        self.tell(form["StatusCallback"][0], CallSid="CA1", CallStatus="completed")
        self.assertEqual(self.status(verification), model.DELIVERY_STATUS_DELIVERED)
        self.approves(verification, first)
        log = self.service.log.read_text()
        self.assertFalse(first in log or self.codes(log), "no code in the log")


class Vonage(Case):
    def token(self, body, secret=SECRET, at=0):
        now = int(time.time()) + at
        digest = hashlib.sha256(body.encode()).hexdigest()
        claims = {"iat": now, "exp": now + 300, "jti": str(uuid.uuid4()), "iss": "Vonage", "payload_hash": digest, "api_key": "a"}
        return jwt.encode(claims, secret, algorithm="HS256")

    def tell(self, url, body, token=None):
        token = token or self.token(body)
        self.assertTrue(verify_signature(token, SECRET))
        return self.call("POST", url, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}, body)

    def test_receipts_that_its_library_verifies_are_taken(self):
        keys = {"api_key": "key", "api_secret_file": pathlib.Path("secret"), "from": "Bank"}
        self.set_up("vonage", "sms", (202, {"message_uuid": "u1"}), keys, receipts="")
        verification, _, body = self.sent(model.CHANNEL_SMS)
        url = json.loads(body)["webhook_url"]
        said = json.dumps({"message_uuid": "u1", "status": "delivered", "channel": "sms"})
        self.assertEqual(self.call("POST", url, {"Authorization": f"Bearer {self.token(said, 'x' * 32)}"}, said)[0], 401)
        self.assertEqual(self.call("POST", url, {"Authorization": f"Bearer {self.token(said, at=-400)}"}, said)[0], 401)
        self.assertEqual(self.tell(url, said + " ", self.token(said))[0], 401)
        token = self.token(said)
        self.assertEqual([self.tell(url, said, token)[0] for _ in range(2)], [204, 204])
        self.assertEqual(self.status(verification), model.DELIVERY_STATUS_DELIVERED)

    def test_a_call_is_what_its_library_would_ask_for_and_says_the_code_once_a_key_is_pressed(self):
        keys = {"application_id": "app-1", "private_key_file": pathlib.Path("key.pem"), "voice_from": "15005550006"}
        folder = tempfile.TemporaryDirectory(prefix="countersign-keys-")
        self.addCleanup(folder.cleanup)
        key = pathlib.Path(folder.name) / "key.pem"
        public = make_rsa_key(key)
        self.set_up("vonage_voice", "voice", (201, {"uuid": "u1"}), {**keys, "private_key_file": str(key)}, receipts="")
        verification, headers, body = self.sent(model.CHANNEL_VOICE)
        claims = jwt.decode(headers["authorization"].removeprefix("Bearer "), public, algorithms=["RS256"])
        self.assertEqual(claims["application_id"], "app-1")
        self.assertTrue(claims["jti"] and claims["exp"] > claims["iat"])
        asked = json.loads(body)
        self.assertEqual(self.codes(body), [])
        # Their own model knows every field of it, and finds nothing wrong.
        known = CreateCallRequest.model_validate({**asked, "from_": asked["from"]})
        self.assertEqual(known.model_dump(by_alias=True, exclude_none=True), asked)

        url = asked["ncco"][1]["eventUrl"][0]
        silent = json.dumps({"dtmf": {"digits": "", "timed_out": True}, "uuid": "u1"})
        self.assertEqual(self.tell(url, silent)[2], "[]")
        pressed = json.dumps({"dtmf": {"digits": "1", "timed_out": False}, "uuid": "u1"})
        status, headers, said = self.tell(url, pressed)
        self.assertEqual((status, headers["cache-control"]), (200, "no-store"))
        sentences = [Talk.model_validate(talk).text for talk in json.loads(said)]
        first, second = self.codes("\n".join(sentences))
        self.assertEqual(first, second)
        self.assertEqual(self.status(verification), model.DELIVERY_STATUS_DELIVERED)
        self.approves(verification, first)


def make_rsa_key(path):
    """Writes a fresh private key in PEM; gives the public one."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


class MessageBird(Case):
    def token(self, url, secret=SECRET, at=0, **more):
        now = int(time.time()) + at
        claims = {"iss": "MessageBird", "nbf": now - 1, "exp": now + 60, "jti": str(uuid.uuid4())}
        claims["url_hash"] = hashlib.sha256(url.encode()).hexdigest()
        return jwt.encode({**claims, **more}, secret, algorithm="HS256")

    def test_its_library_and_we_agree(self):
        keys = {"access_key_file": pathlib.Path("secret"), "from": "Bank"}
        self.set_up("messagebird", "sms", (201, {"id": "m1"}), keys, receipts="")
        verification, _, body = self.sent(model.CHANNEL_SMS)
        url = json.loads(body)["reportUrl"] + "?id=m1&reference=r&recipient=31612345678&status=delivered"
        wrong = [
            self.token(url, secret="x" * 32),
            self.token(url, at=-400),
            self.token(url, at=400),
            self.token(url, iss="Somebody"),
            self.token(url + "x"),
            self.token(url, payload_hash=hashlib.sha256(b"x").hexdigest()),
            "",
        ]
        for token in [*wrong, self.token(url)]:
            try:
                MessageBirdValidator(SECRET).validate_signature(token, url, b"")
                theirs = 204
            except ValidationError:
                theirs = 401
            ours = self.call("GET", url, {"MessageBird-Signature-JWT": token})[0]
            self.assertEqual((ours, ours), (theirs, 401 if token in wrong else 204))
        self.assertEqual(self.status(verification), model.DELIVERY_STATUS_DELIVERED)


if __name__ == "__main__":
    unittest.main()
