#!/usr/bin/env python3
"""The web page in a real browser: Debian's chromium and chromium-driver, without a window.

Usage: PROGRAM [unittest arguments]. Exit code 77, which means "skipped", without a browser.
"""

import shutil
import sys
import unittest

from server import WORK, Server, tiny_model

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


def setUpModule():
    global server, browser
    tiny_model.write_adapter(WORK / "xy", "xy")
    server = Server("--lora", str(WORK / "xy"))
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1300,850"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))


def tearDownModule():
    browser.quit()
    server.close()


def one(selector):
    return browser.find_element(By.CSS_SELECTOR, selector)


def all_of(selector):
    return browser.find_elements(By.CSS_SELECTOR, selector)


def wait(condition, seconds=20):
    # The page redraws whenever it likes: an element that is gone is looked for again.
    ignored = [StaleElementReferenceException]
    return WebDriverWait(browser, seconds, poll_frequency=0.05, ignored_exceptions=ignored).until(lambda _: condition())


class Page(unittest.TestCase):
    def setUp(self):
        browser.get(server.url)
        browser.execute_script("localStorage.clear()")
        browser.get(server.url)
        wait(lambda: "tiny" in one("#model").text)
        self.set("max_tokens", "12")

    def tearDown(self):
        severe = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
        self.assertEqual(severe, [])

    def set(self, name, value):
        one("#open-settings").click()
        field = one(f"#{name}")
        field.clear()
        field.send_keys(value, Keys.TAB)
        one("#settings button[value=done]").click()

    def ask(self, text):
        one("#question").send_keys(text, Keys.ENTER)

    def wait_for_answers(self, n):
        wait(lambda: one("#send").is_displayed() and len(all_of(".message.assistant .figures")) == n)

    def test_an_answer_comes_with_its_figures(self):
        self.ask("Hello")
        self.wait_for_answers(1)
        self.assertEqual(one(".message.user .body").text, "Hello")
        self.assertIn("tokens/s", one(".message.assistant .figures").text)
        self.assertIn("prompt", one(".message.assistant .figures").text)

    def test_an_adapter_can_be_chosen(self):
        one("#open-settings").click()
        Select(one("#adapter")).select_by_visible_text("tiny:xy")
        one("#settings button[value=done]").click()
        wait(lambda: "tiny:xy" in one("#model").text)
        self.ask("Hello")
        self.wait_for_answers(1)
        self.assertRegex(one(".message.assistant .body").text, "^[xy]{12}$")
        browser.get(server.url)
        wait(lambda: "tiny:xy" in one("#model").text)  # it is remembered

    def test_stop_keeps_what_there_is(self):
        self.set("max_tokens", "1900")
        self.set("seed", "3")
        self.ask("Hello")
        wait(lambda: one(".message.assistant .body").text != "…")
        one("body").send_keys(Keys.ESCAPE)
        self.wait_for_answers(1)
        wait(lambda: server.metric("mixtral_sequences_running") == 0)

    def test_retry_and_edit_take_the_place_of_the_answer(self):
        self.ask("Hello")
        self.wait_for_answers(1)
        [retry] = [button for button in all_of(".message.assistant button") if button.text == "Retry"]
        retry.click()
        self.wait_for_answers(1)
        [edit] = [button for button in all_of(".message.user button") if button.text == "Edit"]
        edit.click()
        area = one(".editor textarea")
        area.clear()
        area.send_keys("Once")
        one(".editor .row button:last-child").click()
        self.wait_for_answers(1)
        self.assertEqual([body.text for body in all_of(".message.user .body")], ["Once"])

    def test_conversations_outlive_the_page(self):
        self.ask("First")
        self.wait_for_answers(1)
        one("#new").click()
        self.ask("Second")
        self.wait_for_answers(1)
        browser.refresh()
        wait(lambda: len(all_of("#conversations li")) == 2)
        [first] = [button for button in all_of("#conversations .open") if button.text == "First"]
        first.click()
        self.assertEqual(one(".message.user .body").text, "First")
        for _ in range(2):
            one("#conversations li [aria-label^=Delete]").click()
        browser.refresh()
        wait(lambda: not all_of("#conversations li:not(.current)"))
        self.assertEqual(all_of(".message"), [])

    def test_the_experts_of_an_answer(self):
        self.ask("Hello")
        self.wait_for_answers(1)
        [experts] = [button for button in all_of(".message.assistant button") if button.text == "Experts"]
        experts.click()
        wait(lambda: one("#routing").is_displayed())
        self.assertGreater(len(all_of("#routed-tokens [class*=expert-]")), 0)
        self.assertEqual(len(all_of("#load li")), 4)
        one("#layer").send_keys(Keys.ARROW_RIGHT)
        self.assertIn("1 of 2", one("#layer-number").text)
        one("#routed-tokens").send_keys(Keys.ARROW_RIGHT)
        self.assertIn("expert", one("#token-detail").text)

    def test_errors_are_shown_with_the_answer(self):
        self.ask("a " * 4000)
        self.wait_for_answers(1)
        self.assertIn("the context has 2048", one(".figures.error").text)
        browser.get_log("browser")  # the browser notes the 400 as an error of its own

    def test_markdown_becomes_elements_and_never_markup(self):
        text = "# T\n\n**b** *i* `c<` <img src=x onerror=alert(1)> [l](https://a.example/) [j](javascript:alert(1))\n\n- x\n  - y\n- z\n\n|a|b|\n|-|-|\n|1|2|\n\n```py\nprint(1)\n```"
        browser.execute_async_script("""
            const [text, done] = arguments;
            import("./markdown.js").then(({ render }) => {
              const box = document.createElement("div");
              box.id = "box";
              box.append(...render(text));
              document.body.append(box);
              done();
            });""", text)
        count = lambda selector: len(all_of(f"#box {selector}"))
        self.assertEqual([count(name) for name in ("h3", "strong", "em", "p code", "a", "img", "li", "td", "th", "pre")], [1, 1, 1, 1, 1, 0, 3, 2, 2, 1])
        self.assertEqual(one("#box pre").text, "print(1)")

    def test_dark_and_light(self):
        before = one("html").get_attribute("data-theme")
        one("#theme").click()
        self.assertNotEqual(one("html").get_attribute("data-theme"), before)

    def test_a_phone_has_room_for_everything(self):
        browser.set_window_size(390, 800)
        try:
            width = browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
            self.assertLessEqual(width, 0)
            self.assertFalse(one("#sidebar").is_displayed())
            one("#toggle-list").click()
            self.assertTrue(one("#sidebar").is_displayed())
        finally:
            browser.set_window_size(1300, 850)


if __name__ == "__main__":
    if CHROMIUM is None or DRIVER is None:
        print("no chromium or no chromedriver: the page is not tested")
        sys.exit(77)
    unittest.main()
