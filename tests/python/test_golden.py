"""Derives names, marks and codes again, and opens seals, from the description alone: what tests/golden says is no echo of ours."""

import hashlib
import hmac
import json
import pathlib
import unittest

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FOLDER = pathlib.Path(__file__).parent.parent / "golden"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def subkey(secret, label):
    """HKDF-SHA-256 (RFC 5869), one block."""
    return mac(mac(b"countersign/v1", secret), label + b"\x01")


def fields(*parts):
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def base58(data, width):
    number, digits = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        digits = BASE58[digit] + digits
    return digits.rjust(width, "1")


class Derivation:
    def __init__(self, keys):
        names = bytes.fromhex(keys["names"])
        self.records, self.marks = subkey(names, b"record"), subkey(names, b"mark")
        self.codes = {kid: subkey(bytes.fromhex(secret), b"code") for kid, secret in keys["ring"].items()}

    def mark(self, label, *parts):
        return mac(self.marks, fields(label.encode(), *parts))[:16]

    def subject_key(self, case):
        return mac(self.records, fields(case["tenant"].encode(), case["subject"].encode()))[:16].hex()

    def side_key(self, case):
        parts = [case["label"].encode(), *(part.encode() for part in case["fields"])]
        return self.mark("side", *parts).hex()

    def mark_of(self, case):
        return self.mark(case["label"], *(bytes.fromhex(part) for part in case["fields"])).hex()

    def receipt_token(self, case):
        place = bytes.fromhex(case["key"]), bytes.fromhex(case["delivery"])
        tag = self.mark("receipt", case["sender"].encode(), *place)[:8]
        return base58(b"".join(place) + tag, 55)

    def prefix(self, case, purpose):
        binding = sorted((name.encode(), value.encode()) for name, value in case["binding"].items())
        digest = hashlib.sha256(fields(*(part for pair in binding for part in pair))).digest()
        texts = [case[name].encode() for name in ("tenant", "subject", "action")]
        rest = bytes.fromhex(case["key"] + case["random"]), bytes.fromhex(case["nonce"]), digest, bytes([case["digits"]])
        return fields(b"1", purpose, *texts, *rest)

    def code(self, case):
        modulus = 10 ** case["digits"]
        for counter in range(100):
            block = mac(self.codes[case["kid"]], self.prefix(case, b"code") + fields(counter.to_bytes(4, "big")))
            for at in range(0, 32, 4):
                number = int.from_bytes(block[at : at + 4], "big")
                if number < 2**32 // modulus * modulus:
                    return str(number % modulus).rjust(case["digits"], "0")
        raise AssertionError("no number fits")

    def link(self, case):
        secret = mac(self.codes[case["kid"]], self.prefix(case, b"link"))[:16]
        return base58(bytes.fromhex(case["key"] + case["random"]), 44) + base58(secret, 22)

    def fingerprint(self, case):
        place = bytes.fromhex(case["key"] + case["random"])
        texts = [case[name].encode() for name in ("attempt", "answer", "entry_mode")]
        return mac(self.codes[case["kid"]], fields(b"attempt", place, *texts))[:16].hex()


def derived(file):
    """The file with every derived value made here."""
    by = Derivation(file["keys"])
    made = json.loads(json.dumps(file))
    for kind, name, derive in [
        ("subject_keys", "is", by.subject_key),
        ("side_keys", "is", by.side_key),
        ("marks", "is", by.mark_of),
        ("receipt_tokens", "is", by.receipt_token),
        ("codes", "code", by.code),
        ("codes", "link", by.link),
        ("fingerprints", "is", by.fingerprint),
    ]:
        for case in made[kind]:
            case[name] = derive(case)
    for case in made["ids"]:
        case["verification"] = "vrf_" + base58(bytes.fromhex(case["key"] + case["random"]), 44)
        case["delivery"] = "dlv_" + base58(bytes.fromhex(case["random"]), 22)
    return made


def unseal(secret, label, sealed):
    """The version and the plain bytes under a seal of format 1."""
    key = mac(mac(b"countersign/v1/seal", subkey(secret, b"seal")), label + b"\x01")
    header = 2 + sealed[1] + 8
    plain = AESGCM(key).decrypt(sealed[header : header + 12], sealed[header + 12 :], sealed[:header] + label)
    return int.from_bytes(sealed[header - 8 : header], "big"), plain


class Golden(unittest.TestCase):
    def test_each_value_is_that_of_an_independent_derivation(self):
        file = json.loads((FOLDER / "derived.json").read_text())
        self.assertEqual(derived(file), file)
        self.assertTrue(all(len(cases) > 1 for kind, cases in file.items() if kind != "keys"))

    def test_each_seal_opens_under_the_key_of_its_time(self):
        secret = bytes.fromhex(json.loads((FOLDER / "derived.json").read_text())["keys"]["ring"]["2026a"])
        key, salt = bytes([0x5C] * 16), bytes([0x18] * 16)
        labels = {"records": b"record" + key, "sides": b"side/" + key, "events": b"event/" + key + salt}
        files = [json.loads((FOLDER / name).read_text()) for name in ("sealed.json", "sealed_later.json")]
        for kind, samples in [row for file in files for row in file.items()]:
            for name, sample in samples.items():
                # The one event without a record has no salt either.
                label = b"event/" + key + bytes(16) if name == "disabled" else labels[kind]
                opened = unseal(secret, label, bytes.fromhex(sample["sealed"]))
                self.assertEqual(opened, (sample["version"], bytes.fromhex(sample["plain"])), f"{kind} {name}")
