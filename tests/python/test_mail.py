"""Signatures of mail: what a real server got is verified by a verifier that is not ours, and a changed byte is seen."""

import base64
import pathlib
import re
import subprocess
import tempfile
import unittest

import dkim

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from harness import BINARY, Mailbox, Service, mail_settings, model, toml

DOMAIN = "example.org"
TEXT = "{{ brand }} {{ action }}\n\n{{ code }}\n\n{{ details }}\n{{ never_share }}\n"
# Bodies that are hard to sign: what is folded, what is encoded, what is stuffed, and white space that servers may change.
BODIES = {
    "plain": TEXT,
    "umlauts": "Grüße, señor, façade € \u00a0 日本 😀\n" + TEXT,
    "long lines": "word " * 500 + "\n" + "x" * 3000 + "\n" + TEXT,
    "dots": ".\n..\n.hidden\n. \n\n.\n" + TEXT + "\n.\n.",
    "white space": "  a \t b  \n \n\t\n" + TEXT + "\n \n\n\t\n",
}


def pem(key):
    form, cipher = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, cipher)


def record(key):
    """What the DNS says of a key."""
    public = key.public_key()
    if isinstance(key, rsa.RSAPrivateKey):
        kind, form = "rsa", (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    else:
        kind, form = "ed25519", (serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return b"v=DKIM1; k=%s; p=%s" % (kind.encode(), base64.b64encode(public.public_bytes(*form)))


class Raw(Mailbox):
    """Keeps each mail as the bytes that came."""

    async def handle_DATA(self, server, session, envelope):
        self.mails.put((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 OK"


class Signed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="countersign-dkim-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.keys = {
            "old": rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "new": ed25519.Ed25519PrivateKey.generate(),
        }
        cls.dns = {f"{name}._domainkey.{DOMAIN}.".encode(): record(key) for name, key in cls.keys.items()}
        for name, key in cls.keys.items():
            (cls.folder / name).write_bytes(pem(key))
        # The form of old tools.
        pkcs1 = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
        (cls.folder / "old").write_bytes(cls.keys["old"].private_bytes(*pkcs1))
        cls.mailbox = Raw()
        cls.addClassCleanup(cls.mailbox.stop)

    def settings(self, **files):
        keys = ", ".join("{ " + f'selector = "{name}", file = "{file}"' + " }" for name, file in files.items())
        settings = mail_settings(self.mailbox.port, dkim_domain=DOMAIN)
        return settings.replace("[routes", f"dkim_keys = [{keys}]\n[routes", 1)

    def both(self):
        return self.settings(old=self.folder / "old", new=self.folder / "new")

    def txt(self, name, timeout=5):
        return self.dns.get(name)

    def holds(self, mail, index):
        try:
            return dkim.DKIM(mail).verify(idx=index, dnsfunc=self.txt)
        except dkim.ValidationError:
            return False

    def templates(self, body):
        folder = tempfile.TemporaryDirectory(prefix="countersign-templates-")
        self.addCleanup(folder.cleanup)
        target = pathlib.Path(folder.name) / "en"
        target.mkdir()
        (target / "email.txt").write_text(body)
        (target / "email.subject.txt").write_text("Ihr Code für {{ action }}: " + "Überweisung " * 12)
        return f'[messages]\n{toml({"templates_dir": folder.name})}'

    def test_both_signatures_hold_whatever_the_mail_looks_like(self):
        for name, body in BODIES.items():
            with self.subTest(name):
                service = Service(self.both() + self.templates(body))
                self.addCleanup(service.stop)
                service.start()
                _, _, mail = self.mailbox.next()
                self.assertTrue(mail.isascii())
                self.assertEqual([line for line in mail.split(b"\r\n") if len(line) > 998], [])
                algorithms = re.findall(rb"(?m)^DKIM-Signature: v=1; a=([^;]+);", mail)
                self.assertEqual(algorithms, [b"rsa-sha256", b"ed25519-sha256"])
                self.assertTrue(self.holds(mail, 0) and self.holds(mail, 1))
                service.stop()

    def test_a_changed_byte_breaks_both(self):
        service = Service(self.both())
        self.addCleanup(service.stop)
        verification, _ = service.start()
        self.assertEqual(service.delivered(verification).status, model.DELIVERY_STATUS_SENT)
        _, _, mail = self.mailbox.next()
        self.assertTrue(self.holds(mail, 0) and self.holds(mail, 1))
        head, body = mail.split(b"\r\n\r\n", 1)
        names = [b"From", b"To", b"Subject", b"Date", b"Message-ID", b"MIME-Version", b"Content-Type", b"Auto-Submitted"]
        changed = {name: re.sub(rb"(?m)^(%s: .)(.)" % name, self.other, head) + b"\r\n\r\n" + body for name in names}
        changed[b"body"] = head + b"\r\n\r\n" + body.replace(b"code", b"cude", 1)
        changed[b"the end"] = mail + b"x\r\n"
        # Another field above the signed one, which a mail program may show, or one that the mail has not.
        added = {
            b"From": b"eve@example.com",
            b"To": b"eve@example.com",
            b"Subject": b"Call 0900 1234",
            b"Date": b"Mon, 30 Nov 2026 18:37:54 +0000",
            b"Reply-To": b"eve@example.com",
        }
        for name, value in added.items():
            changed[b"added " + name] = name + b": " + value + b"\r\n" + mail
            changed[b"appended " + name] = head + b"\r\n" + name + b": " + value + b"\r\n\r\n" + body
        for what, forged in changed.items():
            with self.subTest(what):
                self.assertNotEqual(forged, mail)
                self.assertFalse(self.holds(forged, 0))
                self.assertFalse(self.holds(forged, 1))
        # What servers do on the way breaks nothing.
        relayed = b"Received: from a by b\r\n" + mail.replace(b"Subject: ", b"Subject:\t ") + b"\r\n\r\n"
        self.assertTrue(self.holds(relayed, 0) and self.holds(relayed, 1))

    @staticmethod
    def other(match):
        return match[1] + (b"x" if match[2] != b"x" else b"y")

    def test_another_key_in_the_dns_vouches_for_nothing(self):
        service = Service(self.settings(new=self.folder / "new"))
        self.addCleanup(service.stop)
        service.start()
        _, _, mail = self.mailbox.next()
        self.assertTrue(self.holds(mail, 0))
        stranger = record(ed25519.Ed25519PrivateKey.generate())
        self.assertFalse(dkim.DKIM(mail).verify(dnsfunc=lambda name, timeout=5: stranger))

    def test_a_key_file_that_signs_nothing_is_a_mistake_at_the_start(self):
        short = self.folder / "short"
        short.write_bytes(pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)))
        empty = self.folder / "empty"
        empty.write_text("no key")
        for file in (short, empty, self.folder / "missing"):
            with self.subTest(file.name):
                config = self.folder / "countersign.toml"
                config.write_text(self.settings(new=file))
                done = subprocess.run([BINARY, "check-config", "--config", config], capture_output=True, text=True)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn("senders.mail.dkim_keys", done.stderr)


if __name__ == "__main__":
    unittest.main()
