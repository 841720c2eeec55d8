"""A caller's own tests against the real service: test recipients get nothing, and their codes are known beforehand."""

import subprocess
import tempfile
import unittest

import grpc

from harness import BINARY, PATIENCE_S, Mailbox, Service, calls, fields_of, mail_settings, model, reason_of, wrong

CODE = "123456"
SETTINGS = f'''
[test_recipients]
"+31610000001" = "{CODE}"
"ci@example.org" = "{CODE}"

[countries]
allowed = ["NL"]

[actions.login]

[actions.transfer]
code_digits = 8
'''


class TestRecipients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mailbox = Mailbox()
        cls.addClassCleanup(cls.mailbox.stop)
        cls.service = Service(SETTINGS + mail_settings(cls.mailbox.port))
        cls.addClassCleanup(cls.service.stop)

    def test_a_login_is_approved_by_a_code_that_nobody_sent(self):
        for address, channel in (("ci@example.org", model.CHANNEL_EMAIL), ("+31 6 1000 0001", model.CHANNEL_SMS)):
            verification, _ = self.service.start(address, channel)
            delivery = self.service.delivered(verification)
            self.assertEqual((delivery.status, delivery.sender), (model.DELIVERY_STATUS_SENT, "test"))
            self.assertEqual(self.service.check(verification, wrong(CODE), "a1").verdict, calls.VERDICT_WRONG)
            self.assertEqual(self.service.check(verification, CODE, "a2").verdict, calls.VERDICT_APPROVED)
        # The next mail is somebody else's: none was on its way before.
        _, address = self.service.start()
        _, recipients, _ = self.mailbox.next()
        self.assertEqual(recipients, [address])

    def test_what_a_caller_has_to_handle_can_be_provoked(self):
        verification, _ = self.service.start("ci@example.org")
        for n in range(5):
            last = self.service.check(verification, wrong(CODE), f"a{n}")
        self.assertEqual(last.verdict, calls.VERDICT_ATTEMPTS_EXHAUSTED)
        for address, reason in (("+4915112345678", "COUNTRY_NOT_ALLOWED"), ("+319061234", "NUMBER_TYPE_NOT_ALLOWED")):
            with self.assertRaises(grpc.RpcError) as raised:
                self.service.start(address, model.CHANNEL_SMS)
            self.assertEqual(raised.exception.code(), grpc.StatusCode.FAILED_PRECONDITION)
            self.assertEqual(reason_of(raised.exception), ("countersign", reason))
            self.assertEqual(fields_of(raised.exception), ["recipients[0].address"])

    def test_a_code_of_another_length_is_a_mistake_of_the_start(self):
        with self.assertRaises(grpc.RpcError) as raised:
            self.service.start("ci@example.org", action="transfer")
        self.assertEqual(raised.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertEqual(fields_of(raised.exception), ["recipients[0].address"])

    def test_the_log_says_how_many_there_are_and_not_who(self):
        log = self.service.log.read_text()
        self.assertIn("test recipients get no messages", log)
        self.assertIn("count=2", log)
        self.assertNotIn("ci@example.org", log)

    def test_production_refuses_them(self):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(f'profile = "production"\n{SETTINGS}')
            file.flush()
            command = [BINARY, "check-config", "--config", file.name]
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
        said = done.stdout + done.stderr
        self.assertNotEqual(done.returncode, 0)
        for key in ("test_recipients.+31610000001", "test_recipients.ci@example.org"):
            self.assertIn(f"{key}: has a known code, which production refuses", said)


if __name__ == "__main__":
    unittest.main()
