"""A whole conversation with the real service: start, mail, check, and what follows."""

import json
import time
import unittest
import urllib.request

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from harness import PATIENCE_S, Mailbox, Service, calls, code_in, code_of, mail_settings, model, reason_of, wrong


class Conversation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mailbox = Mailbox()
        cls.addClassCleanup(cls.mailbox.stop)
        cls.service = Service(mail_settings(cls.mailbox.port))
        cls.addClassCleanup(cls.service.stop)

    def mailed_code(self, address):
        return code_of(self.mailbox.next_to(address))

    def test_the_code_of_the_mail_approves_once(self):
        verification, address = self.service.start()
        self.assertEqual(verification.status, model.VERIFICATION_STATUS_PENDING)
        self.assertNotIn(address, str(verification))
        code = self.mailed_code(address)
        first = self.service.check(verification, code, "a1")
        self.assertEqual(first.verdict, calls.VERDICT_APPROVED)
        self.assertEqual(first.verification.status, model.VERIFICATION_STATUS_APPROVED)
        self.assertEqual(self.service.check(verification, code, "a1").verdict, calls.VERDICT_APPROVED, "a repeat")
        self.assertEqual(self.service.check(verification, code, "a2").verdict, calls.VERDICT_CLOSED)

    def test_a_wrong_guess_is_an_answer_and_takes_an_attempt(self):
        verification, address = self.service.start()
        code = self.mailed_code(address)
        answer = self.service.check(verification, wrong(code), "a1")
        self.assertEqual(answer.verdict, calls.VERDICT_WRONG)
        self.assertEqual(answer.attempts_left, verification.attempts_left - 1)
        self.assertEqual(self.service.check(verification, code, "a2").verdict, calls.VERDICT_APPROVED)

    def test_a_malformed_guess_is_an_error_and_takes_none(self):
        verification, _ = self.service.start()
        with self.assertRaises(grpc.RpcError) as raised:
            self.service.check(verification, "12345a", "a1")
        self.assertEqual(raised.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertEqual(reason_of(raised.exception), ("countersign", "CODE_MALFORMED"))
        request = calls.GetVerificationRequest(verification_id=verification.verification_id)
        after = self.service.call("GetVerification", request).verification
        self.assertEqual(after.attempts_left, verification.attempts_left)

    def test_a_call_without_a_key_is_refused(self):
        request = calls.GetVerificationRequest(verification_id="vrf_" + "1" * 44)
        with self.assertRaises(grpc.RpcError) as raised:
            self.service.verifications.GetVerification(request, timeout=PATIENCE_S)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAUTHENTICATED)
        self.assertEqual(reason_of(raised.exception), ("countersign", "CALLER_UNKNOWN"))

    def test_a_watcher_sees_it_pending_and_then_approved(self):
        verification, address = self.service.start()
        stream = self.service.watch(verification)
        statuses = [next(stream).verification.status]
        self.service.check(verification, self.mailed_code(address), "a1")
        # The stream ends by itself after the closed one.
        statuses += [answer.verification.status for answer in stream]
        self.assertEqual(set(statuses[:-1]), {model.VERIFICATION_STATUS_PENDING})
        self.assertEqual(statuses[-1], model.VERIFICATION_STATUS_APPROVED)

    def test_the_outbox_shows_a_text_message(self):
        verification, address = self.service.start("+31612345678", model.CHANNEL_SMS)
        letter = self.letter(verification.verification_id)
        self.assertEqual((letter["channel"], letter["address"]), ("sms", address))
        self.assertEqual(code_in(letter["text"]), letter["code"])
        self.assertEqual(self.service.check(verification, letter["code"], "a1").verdict, calls.VERDICT_APPROVED)

    def letter(self, verification_id):
        """The message of a verification, once it is in the outbox."""
        url = f"http://127.0.0.1:{self.service.http_port}/dev/outbox"
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with urllib.request.urlopen(url, timeout=PATIENCE_S) as reply:
                for letter in json.load(reply):
                    if letter["verification_id"] == verification_id:
                        return letter
            time.sleep(0.05)
        self.fail("no message in the outbox")

    def test_the_admin_listener_tells_health_and_names_the_services(self):
        with grpc.insecure_channel(f"127.0.0.1:{self.service.admin_port}") as channel:
            health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_S)
            self.assertEqual(health.status, health_pb2.HealthCheckResponse.SERVING)
            self.assertIn("countersign.v1.VerificationService", ProtoReflectionDescriptorDatabase(channel).get_services())
        for page in ("livez", "readyz", "metrics"):
            url = f"http://127.0.0.1:{self.service.admin_port}/{page}"
            with urllib.request.urlopen(url, timeout=PATIENCE_S) as reply:
                self.assertEqual(reply.status, 200, page)

    def test_a_termination_signal_ends_it_in_order(self):
        service = Service(mail_settings(self.mailbox.port))
        self.addCleanup(service.stop)
        verification, address = service.start()
        stream = service.watch(verification)
        next(stream)
        self.mailed_code(address)
        # An open stream does not hold it up.
        self.assertEqual(service.terminate(), 0)
        with self.assertRaises(grpc.RpcError) as raised:
            for _ in stream:
                pass
        self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAVAILABLE)


if __name__ == "__main__":
    unittest.main()
