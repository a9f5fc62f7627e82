"""The page in a browser: silent, accessible, and its sliders move the charts."""

import shutil
from pathlib import Path
from urllib.parse import unquote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

CHROMIUM = [path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path][:1]
SHOWN = """article => [...article.querySelectorAll("path, text, output, .reading")]
    .map(one => (one.getAttribute("d") || "") + one.textContent).join("|")"""


@pytest.fixture(scope="module", params=CHROMIUM, ids=["chromium"][: len(CHROMIUM)])
def browser(request):
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=request.param, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser, tree, chapters, text, request):
    """The page in a window, with all that its console said."""
    look = {"width": 1280, "height": 900}, "light"
    size, scheme = getattr(request, "param", look)
    (tree / "figures" / "smoke" / "index.html").write_text(text)
    (tree / "figures" / "smoke" / "widththeory.pdf").touch()
    context = browser.new_context(viewport=size, color_scheme=scheme)
    window = context.new_page()
    window.said = []
    window.on("console", lambda message: window.said.append(message.text))
    window.on("pageerror", lambda error: window.said.append(str(error)))
    window.on("request", lambda one: one.url.startswith(("file:", "data:", "blob:")) or window.said.append(one.url))
    window.goto((tree / "figures" / "smoke" / "index.html").as_uri())
    window.wait_for_function(
        "document.querySelectorAll('.chart svg').length == document.querySelectorAll('.chart').length"
    )
    yield window
    context.close()


SIZES = [({"width": width, "height": 900}, scheme) for width in (390, 1280) for scheme in ("light", "dark")]


@pytest.mark.parametrize("opened", SIZES, indirect=True, ids=["phone", "phone dark", "desktop", "desktop dark"])
def test_the_page_is_silent_accessible_and_no_wider_than_the_window(opened):
    found = Axe().run(opened)
    assert found.violations_count == 0, found.generate_report()
    assert opened.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert opened.said == []


@pytest.mark.parametrize("opened", SIZES[:1], indirect=True, ids=["phone"])
def test_on_a_phone_figures_are_scrolled_and_the_table_is_claims_and_verdicts(opened):
    shown, frame = opened.evaluate(
        "(image => [image.offsetWidth, image.parentElement.clientWidth])(document.querySelector('figure img'))"
    )
    assert frame <= 390 < 600 < shown  # its words are as large as on a page of that width
    heads = opened.evaluate("[...document.querySelectorAll('thead th')].filter(one => one.offsetWidth).length")
    assert heads == 2


def test_sliders_move_the_charts_by_keyboard(opened):
    for article in opened.query_selector_all("article.live"):
        for slider in article.query_selector_all("input"):
            if slider.get_attribute("max") == "0":
                continue  # one choice
            slider.focus()
            before = article.evaluate(SHOWN)
            opened.keyboard.press("Home")
            opened.wait_for_timeout(200)
            first = article.evaluate(SHOWN)
            opened.keyboard.press("End")
            opened.wait_for_timeout(200)
            assert len({before, first, article.evaluate(SHOWN)}) >= 2
    assert opened.said == []


def test_the_fit_is_drawn_with_its_corners_and_numbers(opened):
    article = opened.query_selector("article.live[data-claim=first]")
    article.query_selector("input[data-name=width]").focus()
    opened.keyboard.press("End")
    opened.wait_for_timeout(200)
    assert len(article.query_selector_all(".curve .mark-symbol path")) == 5  # width 4, see `tree`
    assert [text.text_content() for text in article.query_selector_all(".bars .layer_1_marks text")] == [
        "0.125",
        "0.25",
        "0",
    ]
    assert article.query_selector(".reading").text_content() == (
        "4 affine pieces. Relative squared error: certified floor 0.125, best fit 0.25, explicit 0."
    )


def test_every_link_and_picture_is_there(opened, tree):
    for address in opened.evaluate("[...document.links].map(link => link.href)"):
        path, _, place = address.removeprefix("file://").partition("#")
        assert Path(unquote(path)).exists(), address
        assert not place or opened.query_selector(f"[id='{place}']"), address
    opened.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth)")
