"""The built-in mail in a real browser: on a telephone and a desk, by day and by night, with values of any length."""

import base64
import unittest

from browser import browser, show_as
from harness import Mailbox, Service, code_of, mail_settings

LANGUAGES = ["nl", "de", "en", "es", "fr"]
SETTINGS = '''messages.brand = "Eerste Example Bank van Nederland N.V."
messages.sms_segments_max = 2
actions.payment = { code_digits = 8, binding = ["amount", "payee"] }
'''
# The longest that a customer may have to read: one with spaces, and one without.
BINDING = {"amount": " ".join(["EUR 1,234,567.89"] * 6), "payee": "NL91ABNA0417164300" * 10}

# What is shown: every text with its colour on the ground that shows through, and what sticks out.
LOOK = """
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
const canvas = dark ? [18, 18, 18] : [255, 255, 255];
const numbers = color => color.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => {
    const part = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
};
const texts = [...document.querySelectorAll("body *")].filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()));
const of = e => {
    const style = getComputedStyle(e), ground = numbers(style.backgroundColor);
    const [one, other] = [light(numbers(style.color)), light(ground[3] === 0 ? canvas : ground)];
    const box = e.getBoundingClientRect();
    return {
        text: e.textContent.trim().slice(0, 40),
        contrast: (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05),
        size: parseFloat(style.fontSize), right: box.right, left: box.left, height: box.height,
    };
};
const [scroll, resources] = [document.documentElement.scrollWidth, performance.getEntriesByType("resource").length];
return { dark, scroll, resources, texts: texts.map(of) };
"""


class Rendering(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mailbox = Mailbox()
        cls.addClassCleanup(cls.mailbox.stop)
        cls.service = Service(SETTINGS + mail_settings(cls.mailbox.port))
        cls.addClassCleanup(cls.service.stop)
        cls.browser = browser()
        cls.addClassCleanup(cls.browser.quit)

    def mailed(self, language):
        _, address = self.service.start(action="payment", locale=language, binding=BINDING)
        mail = self.mailbox.next_to(address)
        return mail.get_body(("html",)).get_content(), code_of(mail)

    def test_a_mail_is_readable_on_a_telephone_and_a_desk_by_day_and_by_night(self):
        for language in LANGUAGES:
            html, code = self.mailed(language)
            # As mail programs show it: with no address of its own, so that nothing could be loaded beside it.
            page = "data:text/html;base64," + base64.b64encode(html.encode()).decode()
            for width in (320, 360, 1000):
                for scheme in ("light", "dark"):
                    with self.subTest(language=language, width=width, scheme=scheme):
                        show_as(self.browser, width, scheme)
                        self.browser.get(page)
                        self.look(width, scheme, code)

    def look(self, width, scheme, digits):
        seen = self.browser.execute_script(LOOK)
        self.assertEqual(seen["dark"], scheme == "dark")
        self.assertLessEqual(seen["scroll"], width, "nothing is scrolled sideways")
        self.assertEqual(seen["resources"], 0, "no picture, no style sheet")
        self.assertGreater(len(seen["texts"]), 6)
        for text in seen["texts"]:
            self.assertGreaterEqual(text["contrast"], 7, text)
            self.assertGreaterEqual(text["size"], 13, text)
            self.assertTrue(0 <= text["left"] < text["right"] <= width, text)
        (code,) = [text for text in seen["texts"] if text["text"] == digits]
        self.assertGreaterEqual(code["size"], 28, "read at arm's length")
        self.assertLess(code["height"], 100, "on one line")


if __name__ == "__main__":
    unittest.main()
