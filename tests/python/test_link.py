"""The page of a link in a real browser: to open it does nothing, to press does, and only where the customer began."""

import hashlib
import re
import unittest

from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from browser import browser
from harness import PATIENCE_S, Mailbox, Service, calls, mail_settings, model

PUBLIC = "https://otp.bank.example"
LINK = re.compile(re.escape(PUBLIC) + r"/link#([1-9A-HJ-NP-Za-km-z]{66})")
BROWSER = "9d3c1f5e7b2a48c6a0e4d8f7c1b5a392"
SETTINGS = f"""http.public_url = "{PUBLIC}"
messages.brand = "Example Bank"
actions.login.entry_modes = ["portal", "link"]
actions.payment.entry_modes = ["portal", "link"]
"""


class Link(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mailbox = Mailbox()
        cls.addClassCleanup(cls.mailbox.stop)
        cls.service = Service(SETTINGS + mail_settings(cls.mailbox.port))
        cls.addClassCleanup(cls.service.stop)
        cls.browser = browser()
        cls.addClassCleanup(cls.browser.quit)

    def setUp(self):
        # What a proxy in front does: the public address leads to the listener.
        self.origin = f"http://127.0.0.1:{self.service.http_port}"
        self.browser.get(self.origin)
        self.browser.delete_all_cookies()

    def mailed(self, **request):
        mark = hashlib.sha256(BROWSER.encode()).hexdigest()
        verification, address = self.service.start(browser_sha256=mark, **request)
        mail = self.mailbox.next_to(address)
        text = mail.get_body(("plain",)).get_content()
        html = mail.get_body(("html",)).get_content().replace("&#x2f;", "/")
        token = LINK.search(text)[1]
        self.assertEqual(LINK.search(html)[1], token)
        self.assertEqual(len(re.findall(r"href", html)), 1)
        return verification, token, text

    def open(self, token):
        self.browser.get("about:blank")
        self.browser.get(f"{self.origin}/link#{token}")
        if token:
            self.wait(lambda b: not self.heading(b).startswith("One moment"))

    def wait(self, until, of=None):
        return WebDriverWait(of or self.browser, PATIENCE_S).until(until)

    @staticmethod
    def heading(of):
        return of.find_element(By.TAG_NAME, "h1").text

    def begin_here(self, of=None):
        """Makes this browser the one in which the customer began."""
        cookie = {"name": "countersign_browser", "value": BROWSER, "path": "/", "sameSite": "Lax"}
        (of or self.browser).add_cookie(cookie)

    def press(self):
        asked = self.heading(self.browser)
        self.browser.find_element(By.CSS_SELECTOR, "#ask button").click()
        self.wait(lambda b: self.heading(b) != asked)
        self.assertTrue(self.browser.find_element(By.CSS_SELECTOR, "[role=status]").is_displayed())
        return self.heading(self.browser)

    def status(self, verification):
        request = calls.GetVerificationRequest(verification_id=verification.verification_id)
        return self.service.call("GetVerification", request).verification

    def test_mail_03_a_browser_that_runs_scripts_opens_the_link_and_the_code_lives(self):
        verification, token, text = self.mailed()
        for _ in range(10):
            self.open(token)
            # There is nothing to press if it is not the browser that asked.
            self.assertIn("not the browser", self.heading(self.browser))
            self.assertFalse(self.browser.find_element(By.ID, "ask").is_displayed())
        seen = self.status(verification)
        self.assertEqual((seen.status, seen.attempts_left), (model.VERIFICATION_STATUS_PENDING, 5))
        self.begin_here()
        for _ in range(10):
            self.open(token)
            self.assertTrue(self.browser.find_element(By.ID, "ask").is_displayed())
        seen = self.status(verification)
        self.assertEqual((seen.status, seen.attempts_left), (model.VERIFICATION_STATUS_PENDING, 5))
        code = re.search(r"^ +(\d{6})\s*$", text, re.MULTILINE)[1]
        self.assertEqual(self.service.check(verification, code).verdict, calls.VERDICT_APPROVED)

    def test_a_press_where_the_customer_began_approves(self):
        verification, token, _ = self.mailed()
        self.begin_here()
        self.open(token)
        # The address keeps no secret, so neither does the history.
        self.assertEqual(self.browser.current_url, f"{self.origin}/link")
        self.assertEqual(self.press(), "Confirmed")
        self.assertEqual(self.status(verification).status, model.VERIFICATION_STATUS_APPROVED)
        self.assertNotIn(token, self.browser.page_source)

    def test_an_address_without_its_secret_says_what_to_do(self):
        self.open("")
        self.assertFalse(self.browser.find_element(By.ID, "ask").is_displayed())
        self.assertIn("type the code", self.browser.find_element(By.ID, "incomplete").text)

    def test_the_page_says_what_is_confirmed_in_the_customers_language(self):
        binding = {"amount": "EUR 12.34", "payee": "<b>Jansen</b> & Co"}
        verification, token, _ = self.mailed(action="payment", binding=binding, locale="de_DE")
        self.begin_here()
        self.open(token)
        self.assertEqual(self.browser.find_element(By.TAG_NAME, "html").get_attribute("lang"), "de")
        shown = self.browser.find_element(By.TAG_NAME, "main").text.splitlines()
        for line in ["Example Bank", "Möchten Sie das bestätigen?", "Betrag", "EUR 12.34", "<b>Jansen</b> & Co"]:
            self.assertIn(line, shown)
        self.assertEqual(self.press(), "Bestätigt")
        self.assertNotIn("EUR 12.34", self.browser.find_element(By.TAG_NAME, "main").text)
        self.assertEqual(self.status(verification).status, model.VERIFICATION_STATUS_APPROVED)

    def test_a_value_in_a_script_of_the_other_direction_stands_apart(self):
        binding = {"amount": "EUR 12.34", "payee": "שלום 42 EUR"}
        _, token, _ = self.mailed(action="payment", binding=binding)
        self.begin_here()
        self.open(token)
        shown = self.browser.find_elements(By.CSS_SELECTOR, "dd bdi")
        self.assertEqual([value.text for value in shown], list(binding.values()))
        self.assertEqual([value.value_of_css_property("direction") for value in shown], ["ltr", "rtl"])
        self.assertEqual(self.browser.find_element(By.TAG_NAME, "html").get_attribute("dir"), "ltr")

    def test_a_press_that_reaches_nobody_is_said_aloud_and_can_be_made_again(self):
        verification, token, _ = self.mailed()
        self.begin_here()
        self.open(token)
        self.browser.set_network_conditions(offline=True, latency=0, throughput=0)
        self.addCleanup(self.browser.delete_network_conditions)
        self.browser.find_element(By.CSS_SELECTOR, "#ask button").click()
        later = self.browser.find_element(By.ID, "later")
        self.wait(lambda _: later.is_displayed())
        self.assertEqual(later.aria_role, "alert")
        self.assertIn("Nothing is lost", later.text)
        self.browser.delete_network_conditions()
        self.open(token)
        self.assertEqual(self.press(), "Confirmed")
        self.assertEqual(self.status(verification).status, model.VERIFICATION_STATUS_APPROVED)

    def test_the_page_speaks_the_language_of_the_browser_and_can_be_used_by_keyboard(self):
        dutch = browser("nl")
        self.addCleanup(dutch.quit)
        _, token, _ = self.mailed(locale="")
        dutch.get(self.origin)
        self.begin_here(dutch)
        dutch.get_log("browser")
        dutch.get(f"{self.origin}/link#{token}")
        self.wait(lambda b: b.find_element(By.CSS_SELECTOR, "button").is_displayed(), dutch)
        self.assertEqual(dutch.find_element(By.TAG_NAME, "html").get_attribute("lang"), "nl")
        button = dutch.find_element(By.CSS_SELECTOR, "button")
        self.assertEqual((button.text, button.accessible_name, button.aria_role), ("Bevestigen", "Bevestigen", "button"))
        self.assertGreaterEqual(button.size["height"], 44)
        self.assertLessEqual(dutch.execute_script("return document.documentElement.scrollWidth"), 390)
        self.assertEqual(dutch.get_log("browser"), [], "nothing is blocked by the page's own policy")


if __name__ == "__main__":
    unittest.main()
