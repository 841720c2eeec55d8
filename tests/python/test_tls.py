"""Encrypted connections: mail over TLS to servers that are not ours, and calls over TLS by a client that is not ours."""

import http.client
import pathlib
import ssl
import tempfile
import unittest
import urllib.request

import grpc
import trustme

from harness import PATIENCE_S, Mailbox, Service, calls, code_of, mail_settings, model, stubs, toml

LOGIN = ("countersign", "correct horse battery staple")


def server_context(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ca = trustme.CA()
        cls.certificate = cls.ca.issue_cert("localhost", "127.0.0.1")
        folder = tempfile.TemporaryDirectory(prefix="countersign-tls-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.ca_file = cls.folder / "ca.pem"
        cls.ca.cert_pem.write_to_path(cls.ca_file)

    def mailbox(self, **options):
        mailbox = Mailbox(**options)
        self.addCleanup(mailbox.stop)
        return mailbox

    def service(self, settings, roots=None):
        service = Service(settings, roots)
        self.addCleanup(service.stop)
        return service

    def sender(self, mailbox, tls, login=None, **more):
        """The service, sending to this mailbox with the authority of this class."""
        if login:
            password_file = self.folder / "password"
            password_file.write_text(login[1] + "\n")
            password_file.chmod(0o600)
            more.update(username=login[0], password_file=str(password_file))
        return self.service(mail_settings(mailbox.port, tls=tls, ca_file=str(self.ca_file), **more))

    def assert_arrives(self, mailbox, service):
        verification, address = service.start()
        verdict = service.check(verification, code_of(mailbox.next_to(address))).verdict
        self.assertEqual(verdict, calls.VERDICT_APPROVED)

    def assert_fails(self, mailbox, service, failure):
        """The delivery fails for this reason, and the server learned not even who it was for."""
        verification, _ = service.start()
        delivery = service.delivered(verification)
        self.assertEqual((delivery.status, delivery.failure), (model.DELIVERY_STATUS_FAILED, failure))
        self.assertEqual(mailbox.recipients, [])
        self.assertTrue(mailbox.mails.empty())

    def test_mail_goes_by_starttls_with_a_login(self):
        context = server_context(self.certificate)
        mailbox = self.mailbox(login=LOGIN, tls_context=context, require_starttls=True, auth_required=True)
        self.assert_arrives(mailbox, self.sender(mailbox, "starttls", LOGIN, host="localhost"))
        self.assertEqual(mailbox.logins, [LOGIN])

    def test_mail_goes_by_implicit_tls(self):
        mailbox = self.mailbox(ssl_context=server_context(self.certificate))
        self.assert_arrives(mailbox, self.sender(mailbox, "implicit"))

    def test_a_server_of_another_authority_gets_nothing(self):
        context = server_context(trustme.CA().issue_cert("localhost", "127.0.0.1"))
        for tls, options in [("starttls", {"tls_context": context}), ("implicit", {"ssl_context": context})]:
            with self.subTest(tls=tls):
                mailbox = self.mailbox(**options)
                self.assert_fails(mailbox, self.sender(mailbox, tls), "tls_failed")

    def test_a_server_with_the_certificate_of_another_name_gets_nothing(self):
        context = server_context(self.ca.issue_cert("mail.example.org"))
        for tls, options in [("starttls", {"tls_context": context}), ("implicit", {"ssl_context": context})]:
            with self.subTest(tls=tls):
                mailbox = self.mailbox(**options)
                self.assert_fails(mailbox, self.sender(mailbox, tls), "tls_failed")

    def test_a_server_without_starttls_gets_neither_mail_nor_password(self):
        # It would take the login in plain text.
        mailbox = self.mailbox(login=LOGIN, auth_require_tls=False)
        self.assert_fails(mailbox, self.sender(mailbox, "starttls", LOGIN), "tls_failed")
        self.assertEqual(mailbox.logins, [])

    def test_a_wrong_password_keeps_the_message_and_is_said(self):
        context = server_context(self.certificate)
        mailbox = self.mailbox(login=LOGIN, tls_context=context, require_starttls=True, auth_required=True)
        service = self.sender(mailbox, "starttls", (LOGIN[0], "another"))
        verification, _ = service.start()
        service.logged("sender refuses this service")
        request = calls.GetVerificationRequest(verification_id=verification.verification_id)
        delivery = service.call("GetVerification", request).verification.deliveries[0]
        self.assertEqual(delivery.status, model.DELIVERY_STATUS_QUEUED)
        self.assertEqual(mailbox.recipients, [])
        self.assertIn((LOGIN[0], "another"), mailbox.logins)

    def test_calls_go_over_tls_and_not_without(self):
        mailbox = self.mailbox()
        files = {"grpc.tls_cert_file": self.folder / "grpc.pem", "grpc.tls_key_file": self.folder / "grpc.key"}
        self.certificate.cert_chain_pems[0].write_to_path(files["grpc.tls_cert_file"])
        self.certificate.private_key_pem.write_to_path(files["grpc.tls_key_file"])
        settings = toml({key: str(path) for key, path in files.items()}) + mail_settings(mailbox.port)
        service = self.service(settings, roots=self.ca.cert_pem.bytes())
        self.assert_arrives(mailbox, service)
        request = calls.GetVerificationRequest(verification_id="vrf_" + "1" * 44)
        with grpc.insecure_channel(service.grpc_address) as channel, self.assertRaises(grpc.RpcError) as raised:
            client = stubs.VerificationServiceStub(channel)
            client.GetVerification(request, metadata=service.metadata, timeout=PATIENCE_S)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAVAILABLE)

    def test_net_16_pages_and_metrics_go_over_tls_and_not_without(self):
        files = {"cert": self.folder / "pages.pem", "key": self.folder / "pages.key"}
        self.certificate.cert_chain_pems[0].write_to_path(files["cert"])
        self.certificate.private_key_pem.write_to_path(files["key"])
        keys = {f"{of}.tls_{name}_file": str(path) for of in ["http", "admin"] for name, path in files.items()}
        service = self.service(toml(keys))
        context = ssl.create_default_context(cafile=str(self.ca_file))
        for port, path in [(service.http_port, "/dev/outbox"), (service.admin_port, "/metrics")]:
            with self.subTest(path):
                with urllib.request.urlopen(f"https://127.0.0.1:{port}{path}", timeout=PATIENCE_S, context=context) as answer:
                    self.assertEqual(answer.status, 200)
                with self.assertRaises((OSError, http.client.HTTPException)):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S)


if __name__ == "__main__":
    unittest.main()
