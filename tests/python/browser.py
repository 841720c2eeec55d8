"""A real browser, Chromium, that shows pages and mails as a telephone does."""

import shutil

from selenium import webdriver


def browser(language="en"):
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    # As root there is no sandbox to be had.
    for argument in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage"]:
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"intl.accept_languages": language})
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    chromium = webdriver.Chrome(options=options, service=service)
    show_as(chromium, 390)
    return chromium


def show_as(chromium, width, scheme="light"):
    """As on a telephone of this width, which no window can have, by day or by night."""
    phone = {"width": width, "height": 780, "deviceScaleFactor": 2, "mobile": width < 800}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
