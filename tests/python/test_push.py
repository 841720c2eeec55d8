"""Push services and Amazon against their own descriptions: tokens, signatures and encryption are read by libraries of others."""

import asyncio
import base64
import http.server
import importlib.resources
import json
import os
import pathlib
import queue
import re
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse

import botocore.session
import jwt
import trustme
from botocore import auth, awsrequest, credentials, parsers, serialize
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypercorn.asyncio import serve
from hypercorn.config import Config

from harness import PATIENCE_S, ROOT, Service, calls, code_in, model, toml

NODE = ROOT / "tests" / ".node" / "node_modules"
# Reads the private key and the secret of a browser and the body of a message, and decrypts it.
DECRYPT = """
const ece = require('http_ece'), crypto = require('crypto');
const given = JSON.parse(require('fs').readFileSync(0));
const browser = crypto.createECDH('prime256v1');
browser.setPrivateKey(Buffer.from(given.key, 'base64url'));
const body = Buffer.from(given.body, 'base64url');
process.stdout.write(ece.decrypt(body, { version: 'aes128gcm', privateKey: browser, authSecret: given.auth }));
"""
NUMBER = "+31612345678"
TAKEN_BY_AMAZON = (
    '<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult>'
    "<MessageId>567910cd-659e-55d4-8ccb-5aaf14679dc0</MessageId></PublishResult><ResponseMetadata>"
    "<RequestId>d74b8436-ae13-5ab4-a9ff-ce54dfea72a0</RequestId></ResponseMetadata></PublishResponse>"
)


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unbase64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


class Double:
    """A provider on loopback: keeps each request and answers with what `answer` gives for its path: status, type, body."""

    def __init__(self, answer, context=None):
        self.requests = queue.Queue()
        requests = self.requests

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                requests.put((self.path, dict(self.headers.items()), body))
                status, kind, text = answer(self.path)
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self):
        """Path, headers in lower case and body, in the order of arrival."""
        path, headers, body = self.requests.get(timeout=PATIENCE_S)
        return path, {name.lower(): value for name, value in headers.items()}, body

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Apple:
    """A server of HTTP/2 over TLS on loopback that is not ours: keeps each request and takes it."""

    def __init__(self, folder, certificate):
        self.requests = queue.Queue()
        self.ended = asyncio.Event()
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        config = Config()
        config.bind = [f"fd://{listener.detach()}"]
        config.alpn_protocols, config.errorlog = ["h2"], None
        config.certfile, config.keyfile = str(folder / "apple.pem"), str(folder / "apple.key")
        certificate.cert_chain_pems[0].write_to_path(config.certfile)
        certificate.private_key_pem.write_to_path(config.keyfile)
        self.loop = asyncio.new_event_loop()
        served = serve(self.take, config, shutdown_trigger=self.ended.wait)
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=(served,))
        self.thread.start()

    async def take(self, scope, receive, send):
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            event = await receive()
            body, more = body + event.get("body", b""), event.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.requests.put((scope["http_version"], scope["path"], headers, body))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def next(self):
        return self.requests.get(timeout=PATIENCE_S)

    def stop(self):
        self.loop.call_soon_threadsafe(self.ended.set)
        self.thread.join(PATIENCE_S)
        self.loop.close()


class Described:
    """Google's description of its API, as its own client library has it."""

    def __init__(self):
        documents = importlib.resources.files("googleapiclient.discovery_cache.documents")
        self.document = json.loads(documents.joinpath("fcm.v1.json").read_text())
        self.send = self.document["resources"]["projects"]["resources"]["messages"]["methods"]["send"]

    def problems(self, value, schema, at=""):
        """What a value has that the description does not know."""
        if "$ref" in schema:
            schema = self.document["schemas"][schema["$ref"]]
        if schema["type"] == "object":
            if not isinstance(value, dict):
                return [f"{at} is no object"]
            known, other = schema.get("properties", {}), schema.get("additionalProperties")
            problems = []
            for name, field in value.items():
                if described := known.get(name, other):
                    problems += self.problems(field, described, f"{at}.{name}")
                else:
                    problems.append(f"{at}.{name} is unknown")
            return problems
        if schema["type"] != "string":
            return [f"{at}: the test does not know the type {schema['type']}"]
        fits = isinstance(value, str) and value in schema.get("enum", [value])
        if fits and schema.get("format") == "google-duration":
            fits = re.fullmatch(r"\d+(\.\d{1,9})?s", value)
        return [] if fits else [f"{at} is not as described"]


class Push(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="countersign-push-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.google = cls.double(cls.of_google)
        cls.amazon = cls.double(lambda _: (200, "text/xml", TAKEN_BY_AMAZON))
        authority = trustme.CA()
        authority.cert_pem.write_to_path(cls.folder / "ca.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        cls.browsers = cls.double(lambda _: (201, "text/plain", ""), context)
        cls.apple = Apple(cls.folder, authority.issue_cert("localhost"))
        cls.addClassCleanup(cls.apple.stop)
        cls.apple_key = ec.generate_private_key(ec.SECP256R1())
        cls.google_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        cls.application_key = ec.generate_private_key(ec.SECP256R1())
        cls.service = Service(cls.settings())
        cls.addClassCleanup(cls.service.stop)

    @classmethod
    def double(cls, *arguments):
        double = Double(*arguments)
        cls.addClassCleanup(double.stop)
        return double

    @staticmethod
    def of_google(path):
        token = {"access_token": "ya29.token", "expires_in": 3599, "token_type": "Bearer"}
        message = {"name": "projects/bank-1/messages/0:1500415314455276%31bd1c9631bd1c96"}
        return 200, "application/json", json.dumps(token if path == "/token" else message)

    @classmethod
    def settings(cls):
        google, amazon = (f"127.0.0.1:{double.port}" for double in (cls.google, cls.amazon))
        account = {
            "type": "service_account",
            "project_id": "bank-1",
            "private_key_id": "key-1",
            "private_key": pem(cls.google_key),
            "client_email": "codes@bank-1.iam.gserviceaccount.com",
            "token_uri": f"http://{google}/token",
        }
        files = {
            "account.json": json.dumps(account),
            "vapid.pem": pem(cls.application_key),
            "apple.p8": pem(cls.apple_key),
            "key_id": "AKIDEXAMPLE\n",
            "secret": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\n",
            "session": "session/token==\n",
        }
        for name, text in files.items():
            (cls.folder / name).write_text(text)
        senders = {
            "google": {
                "kind": "fcm",
                "service_account_file": str(cls.folder / "account.json"),
                "base_url": f"http://{google}",
                "allow_hosts": [google],
            },
            "apple": {
                "kind": "apns",
                "key_file": str(cls.folder / "apple.p8"),
                "key_id": "ABC123DEFG",
                "team_id": "DEF123GHIJ",
                "topic": "example.bank.app",
                "base_url": f"https://localhost:{cls.apple.port}",
                "allow_hosts": ["localhost", f"localhost:{cls.apple.port}"],
                "ca_file": str(cls.folder / "ca.pem"),
            },
            "browsers": {
                "kind": "webpush",
                "key_file": str(cls.folder / "vapid.pem"),
                "contact": "mailto:security@bank.example",
                "hosts": ["localhost"],
                "allow_hosts": ["localhost", f"localhost:{cls.browsers.port}"],
                "ca_file": str(cls.folder / "ca.pem"),
            },
            "amazon": {
                "kind": "sns",
                "region": "eu-central-1",
                "access_key_id_file": str(cls.folder / "key_id"),
                "secret_access_key_file": str(cls.folder / "secret"),
                "session_token_file": str(cls.folder / "session"),
                "sender_id": "Bank",
                "base_url": f"http://{amazon}",
                "allow_hosts": [amazon],
            },
        }
        # A list is written in TOML as in JSON.
        sections = "".join(f"[senders.{name}]\n{toml(values)}" for name, values in senders.items())
        routes = '[routes.push]\nsenders = ["google", "apple", "browsers"]\n[routes.sms]\nsenders = ["amazon"]\n'
        return f'log.level = "trace"\n{sections}{routes}'

    def delivered(self, verification, sender):
        delivery = self.service.delivered(verification)
        self.assertEqual((delivery.status, delivery.sender), (model.DELIVERY_STATUS_SENT, sender), delivery.failure)

    def approve(self, verification, code):
        self.assertEqual(self.service.check(verification, code).verdict, calls.VERDICT_APPROVED)

    def assert_locked(self, title, alert, data):
        """CHAN-07: what a locked screen shows holds no digit; the app gets the code apart from it."""
        self.assertIsNone(re.search(r"\d", title + alert), "a locked screen shows it")
        self.assertEqual(code_in(data["text"]), data["code"])

    def assert_unlogged(self, *secrets):
        """LOG-03: no secret and no address is in the log at its most talkative."""
        log = self.service.log.read_text()
        self.assertGreater(len(log), 5_000, "the log is on")
        for secret in secrets:
            found = re.search(rf"(?<!\d){re.escape(secret)}(?!\d)", log)
            self.assertIsNone(found, found and log[max(0, found.start() - 200) : found.end() + 50])

    def test_google_gets_what_it_describes_with_a_token_for_a_signed_assertion(self):
        verification, _ = self.service.start("fcm:" + "dG9rZW4_-:" * 12, model.CHANNEL_PUSH)
        self.delivered(verification, "google")
        path, _, body = self.google.next()
        form = dict(urllib.parse.parse_qsl(body.decode()))
        self.assertEqual((path, form["grant_type"]), ("/token", "urn:ietf:params:oauth:grant-type:jwt-bearer"))
        audience = f"http://127.0.0.1:{self.google.port}/token"
        claims = jwt.decode(form["assertion"], self.google_key.public_key(), algorithms=["RS256"], audience=audience)
        self.assertEqual(claims["iss"], "codes@bank-1.iam.gserviceaccount.com")
        self.assertEqual(claims["exp"] - claims["iat"], 3600)
        self.assertEqual(jwt.get_unverified_header(form["assertion"])["kid"], "key-1")

        described = Described()
        self.assertIn(claims["scope"], described.send["scopes"])
        path, headers, body = self.google.next()
        self.assertEqual(path, "/" + described.send["flatPath"].format(projectsId="bank-1"))
        self.assertEqual(headers["authorization"], "Bearer ya29.token")
        request = json.loads(body)
        self.assertEqual(described.problems(request, described.send["request"]), [])
        message = request["message"]
        self.assert_locked(message["notification"]["title"], message["notification"]["body"], message["data"])
        self.approve(verification, message["data"]["code"])
        self.assert_unlogged(message["data"]["code"], message["token"], "ya29.token", form["assertion"])

        # What it does not describe would be seen.
        message["android"]["ttl"], message["colour"], message["data"]["n"] = 300, "red", 1
        problems = described.problems(request, described.send["request"])
        self.assertEqual(len(problems), 3, problems)

    def test_apple_gets_http_2_and_a_token_that_our_key_signed(self):
        device = "4f2a" * 16
        verification, _ = self.service.start("apns:" + device, model.CHANNEL_PUSH)
        self.delivered(verification, "apple")
        version, path, headers, body = self.apple.next()
        self.assertEqual((version, path), ("2", f"/3/device/{device}"))
        self.assertEqual((headers["apns-topic"], headers["apns-push-type"]), ("example.bank.app", "alert"))
        self.assertTrue(time.time() < int(headers["apns-expiration"]) <= time.time() + 300)
        token = headers["authorization"].removeprefix("bearer ")
        claims = jwt.decode(token, self.apple_key.public_key(), algorithms=["ES256"])
        self.assertEqual((claims["iss"], jwt.get_unverified_header(token)["kid"]), ("DEF123GHIJ", "ABC123DEFG"))
        payload = json.loads(body)
        alert = payload["aps"]["alert"]
        self.assert_locked(alert["title"], alert["body"], payload)
        self.approve(verification, payload["code"])
        self.assert_unlogged(payload["code"], device, token)
        with self.assertRaises(AssertionError):
            self.assert_unlogged("message accepted by sender")

    def test_a_browser_decrypts_what_its_push_service_cannot_read(self):
        browser, secret = ec.generate_private_key(ec.SECP256R1()), b"0123456789abcdef"
        point = browser.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        origin = f"https://localhost:{self.browsers.port}"
        keys = {"p256dh": base64url(point), "auth": base64url(secret)}
        subscription = {"endpoint": f"{origin}/push/JzLQ3raZ", "expirationTime": None, "keys": keys}
        address = "webpush:" + base64url(json.dumps(subscription).encode())
        verification, _ = self.service.start(address, model.CHANNEL_PUSH)
        # The first sender of the route leaves it to the next.
        self.delivered(verification, "browsers")

        path, headers, body = self.browsers.next()
        self.assertEqual((path, headers["content-encoding"], headers["urgency"]), ("/push/JzLQ3raZ", "aes128gcm", "high"))
        self.assertTrue(0 < int(headers["ttl"]) <= 300)
        token, public = re.fullmatch(r"vapid t=(\S+), k=(\S+)", headers["authorization"]).groups()
        ours = self.application_key.public_key()
        self.assertEqual(ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), unbase64url(public)), ours)
        claims = jwt.decode(token, ours, algorithms=["ES256"], audience=origin)
        self.assertEqual(claims["sub"], "mailto:security@bank.example")
        self.assertLess(claims["exp"], time.time() + 86_400)

        private = browser.private_numbers().private_value.to_bytes(32, "big")
        payload = self.decrypt(private, secret, body)
        self.assert_locked(payload["title"], payload["body"], payload["data"])
        self.approve(verification, payload["data"]["code"])
        self.assert_unlogged(payload["data"]["code"], "JzLQ3raZ", address, keys["auth"], token)
        stranger = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value.to_bytes(32, "big")
        with self.assertRaises(subprocess.CalledProcessError):
            self.decrypt(stranger, secret, body)

    @staticmethod
    def decrypt(key, secret, body):
        given = {"key": base64url(key), "auth": base64url(secret), "body": base64url(body)}
        ended = subprocess.run(
            ["node", "-e", DECRYPT],
            input=json.dumps(given),
            env={**os.environ, "NODE_PATH": str(NODE)},
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE_S,
        )
        return json.loads(ended.stdout)

    def test_amazon_gets_what_its_own_client_would_send_and_sign(self):
        verification, _ = self.service.start(NUMBER, model.CHANNEL_SMS)
        self.delivered(verification, "amazon")
        path, headers, body = self.amazon.next()
        fields = dict(urllib.parse.parse_qsl(body.decode()))
        publish = botocore.session.get_session().get_service_model("sns").operation_model("Publish")
        text = lambda value: {"DataType": "String", "StringValue": value}
        parameters = {
            "PhoneNumber": NUMBER,
            "Message": fields["Message"],
            "MessageAttributes": {"AWS.SNS.SMS.SMSType": text("Transactional"), "AWS.SNS.SMS.SenderID": text("Bank")},
        }
        theirs = serialize.create_serializer("query").serialize_to_request(parameters, publish)
        self.assertEqual(fields, theirs["body"])

        signed = re.search(r"SignedHeaders=([^,]+), Signature=", headers["authorization"])[1].split(";")
        self.assertEqual(signed, ["content-type", "host", "x-amz-date", "x-amz-security-token"])
        request = awsrequest.AWSRequest(
            method="POST",
            url=f"http://127.0.0.1:{self.amazon.port}{path}",
            data=body,
            headers={name: headers[name] for name in signed},
        )
        request.context["timestamp"] = headers["x-amz-date"]
        keys = [(self.folder / name).read_text().strip() for name in ("key_id", "secret", "session")]
        signer = auth.SigV4Auth(credentials.Credentials(*keys), "sns", "eu-central-1")
        text_to_sign = signer.string_to_sign(request, signer.canonical_request(request))
        self.assertTrue(headers["authorization"].endswith(f"Signature={signer.signature(text_to_sign, request)}"))

        # The answer of the double is one that Amazon's own client reads.
        answer = {"status_code": 200, "headers": {}, "body": TAKEN_BY_AMAZON.encode()}
        read = parsers.create_parser("query").parse(answer, publish.output_shape)
        self.assertEqual(read["MessageId"], "567910cd-659e-55d4-8ccb-5aaf14679dc0")
        self.approve(verification, code_in(fields["Message"]))
        self.assert_unlogged(code_in(fields["Message"]), NUMBER[1:], *keys[1:], headers["authorization"])


if __name__ == "__main__":
    unittest.main()
