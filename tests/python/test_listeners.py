"""The listeners, as clients that are not ours meet them: gRPC of Google, an HTTP/2 library, and plain HTTP."""

import concurrent.futures
import http.client
import json
import socket
import unittest

import grpc
import h2.config
import h2.connection
import h2.events

from harness import PATIENCE_S, Mailbox, Service, calls, mail_settings, model

START = "/countersign.v1.VerificationService/StartVerification"


def login(number):
    recipients = [model.Recipient(channel=model.CHANNEL_EMAIL, address=f"anna{number}@example.org")]
    return calls.StartVerificationRequest(
        subject=f"customer-{number}", action="login", recipients=recipients, request_id=f"request-{number}", prior_acr="password"
    )


class Listeners(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mailbox = Mailbox()
        cls.addClassCleanup(cls.mailbox.stop)
        cls.service = Service(mail_settings(cls.mailbox.port))
        cls.addClassCleanup(cls.service.stop)

    def exchange(self, headers, body):
        """Sends one request over HTTP/2; gives the headers of the answer."""
        host, port = self.service.grpc_address.split(":")
        with socket.create_connection((host, int(port)), PATIENCE_S) as connection:
            client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
            client.initiate_connection()
            client.send_headers(1, [(":scheme", "http"), (":authority", "bank.example"), *headers])
            client.send_data(1, body, end_stream=True)
            connection.sendall(client.data_to_send())
            while data := connection.recv(65536):
                for event in client.receive_data(data):
                    if isinstance(event, h2.events.ResponseReceived):
                        return dict(event.headers)
                connection.sendall(client.data_to_send())
        raise AssertionError("the connection ended without an answer")

    def framed(self, number):
        message = login(number).SerializeToString()
        return b"\0" + len(message).to_bytes(4, "big") + message

    def test_net_17_only_grpc_by_post_is_executed(self):
        (_, credential), = self.service.metadata
        own = [("authorization", credential), ("te", "trailers")]
        for method, path, content_type, status in [
            ("POST", START, "text/plain", "415"),
            ("POST", START, "application/json", "415"),
            ("POST", START, None, "415"),
            ("PUT", START, "application/grpc", "405"),
            ("POST", START + "?x=1", "application/grpc", "200"),
            ("POST", START, "application/grpc", "200"),
        ]:
            with self.subTest(method=method, path=path, content_type=content_type):
                headers = [(":method", method), (":path", path), *own]
                if content_type:
                    headers.append(("content-type", content_type))
                answer = self.exchange(headers, self.framed("net17"))
                self.assertEqual(answer[":status"], status)
                if "?" in path:
                    self.assertEqual(answer["grpc-status"], str(grpc.StatusCode.UNIMPLEMENTED.value[0]))
                if status == "405":
                    self.assertEqual(answer["allow"], "POST")
        # The last one, and none before it.
        self.mailbox.next_to("annanet17@example.org")
        self.assertTrue(self.mailbox.mails.empty())

    def test_net_18_two_credentials_are_unauthenticated(self):
        metadata = (*self.service.metadata, ("authorization", "Bearer another"))
        with self.assertRaises(grpc.RpcError) as raised:
            self.service.verifications.StartVerification(login("net18"), metadata=metadata, timeout=PATIENCE_S)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAUTHENTICATED)

    def test_net_15_a_channel_with_keepalive_and_many_calls_at_once_is_served(self):
        # On a busy machine the disk may not keep up with all of them in time: what is unavailable is to be repeated.
        repeats = {"maxAttempts": 5, "initialBackoff": "0.2s", "maxBackoff": "2s", "backoffMultiplier": 2}
        retried = {"name": [{}], "retryPolicy": {**repeats, "retryableStatusCodes": ["UNAVAILABLE"]}}
        options = [
            ("grpc.keepalive_time_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.service_config", json.dumps({"methodConfig": [retried]})),
        ]
        with grpc.insecure_channel(self.service.grpc_address, options) as channel:
            start = channel.unary_unary(
                START,
                request_serializer=calls.StartVerificationRequest.SerializeToString,
                response_deserializer=calls.StartVerificationResponse.FromString,
            )
            begun = [start.future(login(f"many{n}"), metadata=self.service.metadata, timeout=PATIENCE_S) for n in range(300)]
            for one in concurrent.futures.as_completed(map(self._as_future, begun), PATIENCE_S):
                self.assertTrue(one.result().verification.verification_id)

    @staticmethod
    def _as_future(call):
        future = concurrent.futures.Future()
        call.add_done_callback(lambda done: future.set_exception(done.exception()) if done.exception() else future.set_result(done.result()))
        return future

    def test_net_15_the_outbox_is_for_this_machine_alone(self):
        for host, status in [("localhost", 200), (f"127.0.0.1:{self.service.http_port}", 200), ("evil.example", 421)]:
            with self.subTest(host):
                connection = http.client.HTTPConnection("127.0.0.1", self.service.http_port, timeout=PATIENCE_S)
                self.addCleanup(connection.close)
                connection.request("GET", "/dev/outbox", headers={"host": host})
                answer = connection.getresponse()
                body = answer.read()
                self.assertEqual(answer.status, status)
                if status == 200:
                    json.loads(body)


if __name__ == "__main__":
    unittest.main()
