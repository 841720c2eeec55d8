"""A message that a server always refuses, or never answers, and two hundred others that must not wait for it."""

import asyncio
import unittest

from harness import Mailbox, Service, calls, mail_settings, model

OTHERS = 200
POISON = "poison@example.org"


class Picky(Mailbox):
    """Takes every mail but those to one address."""

    def __init__(self, poison):
        super().__init__()
        self.poison = poison

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address == POISON:
            return await self.poison()
        return await super().handle_RCPT(server, session, envelope, address, options)


async def hang():
    # As good as never: the client gives up long before, and that ends it.
    await asyncio.sleep(3600)


async def refuse():
    return "450 4.2.0 come again"


class Poison(unittest.TestCase):
    def status(self, service, verification):
        request = calls.GetVerificationRequest(verification_id=verification.verification_id)
        return service.call("GetVerification", request).verification.deliveries[0]

    def test_it_delays_nobody(self):
        for poison in (hang, refuse):
            with self.subTest(poison.__name__):
                mailbox = Picky(poison)
                self.addCleanup(mailbox.stop)
                # Two connections for anonymous starts, one of which the silence holds.
                service = Service(mail_settings(mailbox.port, pool_max=4))
                self.addCleanup(service.stop)
                first, _ = service.start(POISON)
                started = [service.start() for _ in range(OTHERS)]
                arrived = {mailbox.next()[1][0] for _ in started}
                self.assertEqual(arrived, {address for _, address in started})
                # It is still being tried when the last of the others has come.
                left = self.status(service, first)
                self.assertEqual((left.status, left.failure), (model.DELIVERY_STATUS_QUEUED, ""))
                for verification, _ in started:
                    delivery = service.delivered(verification)
                    self.assertEqual((delivery.status, delivery.tries), (model.DELIVERY_STATUS_SENT, 1))
                service.stop()
                self.assertTrue(mailbox.mails.empty())


if __name__ == "__main__":
    unittest.main()
