"""Hostile values, end to end: none adds a mail, a recipient, a header or markup, and none is evaluated."""

import html.parser
import unittest

import grpc

from harness import FROM, Mailbox, Service, code_of, calls, fields_of, mail_settings, model

HOSTILE = [
    "{{7*7}}",
    "{{ code }}",
    "{% if true %}",
    "${jndi:ldap://x}",
    "a<b>&\"'",
    "</p><script>alert(1)</script>",
    "<!-- <a href='https://example.org'>",
    ". MAIL FROM:<x@y>",
    # Dots wherever a long line may be folded.
    "." * 512,
    # A line break in quoted-printable, in a header word, and as text.
    "=0D=0A.=0D=0ABcc: x@example.org",
    "=?utf-8?q?=0D=0ABcc:_x@example.org?=",
    "\\r\\n.\\r\\nBcc: x@example.org",
    "Zoë € 日本語 😀",
]
BROKEN = ["x\r\nBcc: y@example.org", "x\n.\nMAIL FROM:<x@y>", "x\ry", "\r\n.\r\n", "x\0y", "x\u2028y"]


class Page(html.parser.HTMLParser):
    """What a mail program makes of an HTML part: its text, and its tags in order."""

    def __init__(self, source):
        super().__init__()
        self.text, self.tags = "", []
        self.feed(source)
        self.close()

    def handle_data(self, data):
        self.text += data

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, attrs))

    def handle_comment(self, data):
        self.tags.append(("comment", data))


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mailbox = Mailbox()
        cls.addClassCleanup(cls.mailbox.stop)
        cls.service = Service(mail_settings(cls.mailbox.port) + '[actions.payment]\nbinding = ["amount", "payee"]\n')
        cls.addClassCleanup(cls.service.stop)

    def pay(self, payee):
        """Starts a payment; gives the verification and the one mail that came of it, or fails."""
        verification, address = self.service.start(action="payment", binding={"amount": "EUR ten", "payee": payee})
        self.assertEqual(self.service.delivered(verification).status, model.DELIVERY_STATUS_SENT)
        sender, recipients, mail = self.mailbox.next()
        self.assertEqual((sender, recipients, mail["To"]), (FROM, [address], address))
        return verification, mail

    def test_mail_02_a_hostile_value_is_shown_as_it_is_and_does_nothing(self):
        _, harmless = self.pay("Example Shop")
        tags = Page(harmless.get_body(("html",)).get_content()).tags
        for value in HOSTILE:
            with self.subTest(value):
                verification, mail = self.pay(value)
                self.assertEqual(mail.keys(), harmless.keys())
                self.assertEqual(mail["Subject"], harmless["Subject"])
                self.assertEqual(mail.defects, [])
                text = mail.get_body(("plain",)).get_content()
                self.assertIn(f"payee: {value}", text.splitlines())
                page = Page(mail.get_body(("html",)).get_content())
                self.assertIn(f"payee: {value}", page.text)
                self.assertEqual(page.tags, tags)
                verdict = self.service.check(verification, code_of(mail)).verdict
                self.assertEqual(verdict, calls.VERDICT_APPROVED)
        # A mail that was smuggled in would come before this one.
        self.pay("the last")
        self.assertTrue(self.mailbox.mails.empty())

    def assert_refused(self, field, **request):
        with self.assertRaises(grpc.RpcError) as raised:
            self.service.start(**request)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertEqual(fields_of(raised.exception), [field])

    def test_mail_02_a_value_with_a_line_break_is_refused_by_name(self):
        for value in BROKEN:
            with self.subTest(value):
                self.assert_refused("binding.payee", action="payment", binding={"amount": "EUR ten", "payee": value})

    def test_mail_02_an_address_that_is_more_than_one_is_refused_by_name(self):
        for address in [
            "a@example.org\r\nBcc: b@example.org",
            "a@example.org\nRCPT TO:<b@example.org>",
            "a@example.org, b@example.org",
            "a@example.org b@example.org",
            "<a@example.org>",
            "a@example.org> SIZE=1",
            '"a\r\n"@example.org',
        ]:
            with self.subTest(address):
                self.assert_refused("recipients[0].address", address=address)


if __name__ == "__main__":
    unittest.main()
