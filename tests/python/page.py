"""The page that the server shows to people, in a real browser, as a person uses it.

    page.py CHROMIUM URL TOKEN REFUSED FOLDER [AUTHORITY]

AUTHORITY is the file of who has signed the certificate of an https: URL; the browser has to know it already. TOKEN reads and writes the channel c, REFUSED is signed by nobody whom the server knows. Pictures
of the page at the width of a phone and of a desk go to FOLDER. Ends with 0 where all of it held.
"""

import asyncio
import base64
import itertools
import json
import ssl
import sys
import urllib.request
from pathlib import Path

from websockets.asyncio.client import connect

CHROMIUM, URL, TOKEN, REFUSED, FOLDER, *AUTHORITY = sys.argv[1:]
TLS = {"ssl": ssl.create_default_context(cafile=AUTHORITY[0])} if AUTHORITY else {}
# Width and height of the view: a small phone's, and a desk's.
VIEWS = {"phone": (360, 740), "desk": (1280, 800)}
# Of a browser's start on a machine that is busy, and of anything after that; in seconds.
START, PATIENCE = 60, 20
# Looks a second at something that nothing announces.
LOOKS = 20


class Page:
    """A tab of the browser, spoken to by the protocol of its developer tools."""

    def __init__(self, link):
        self.link = link
        self.answers, self.numbers = {}, itertools.count(1)
        self.requests, self.complaints = [], []
        self.listener = asyncio.create_task(self.listen())

    async def listen(self):
        async for text in self.link:
            told = json.loads(text)
            method, what = told.get("method"), told.get("params", {})
            if "id" in told:
                self.answers.pop(told["id"]).set_result(told)
            elif method in ("Network.requestWillBeSent", "Network.webSocketCreated"):
                self.requests.append(what["request"]["url"] if "request" in what else what["url"])
            elif method == "Log.entryAdded":
                self.complaints.append(what["entry"]["text"])
            elif method == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(what["exceptionDetails"]))

    async def ask(self, method, **params):
        number = next(self.numbers)
        self.answers[number] = answer = asyncio.get_running_loop().create_future()
        await self.link.send(json.dumps({"id": number, "method": method, "params": params}))
        told = await asyncio.wait_for(answer, PATIENCE)
        assert "error" not in told, told
        return told["result"]

    async def tell(self, script):
        """The value of an expression in the page."""
        told = await self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def until(self, what, script):
        for _ in range(PATIENCE * LOOKS):
            if await self.tell(script):
                return
            await asyncio.sleep(1 / LOOKS)
        raise AssertionError(f"not within {PATIENCE} s: {what}; {await self.tell('document.body.innerText')}")

    async def click(self, name):
        await self.tell(f"document.getElementById({name!r}).click()")

    async def write(self, name, text):
        """As if it were pasted: the page hears of it."""
        await self.tell(f"document.getElementById({name!r}).focus()")
        await self.tell(f"document.getElementById({name!r}).select()")
        await self.ask("Input.insertText", text=text)

    async def picture(self, name):
        width, height = VIEWS[name]
        await self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
            mobile=name == "phone",
        )
        await self.until("the view has its width", f"innerWidth === {width}")
        wide = await self.tell("document.documentElement.scrollWidth")
        assert wide <= width, f"at {width} pixels the page is {wide} wide"
        cut = await self.tell(
            "[...document.querySelectorAll('button, input, textarea, h1, section')]"
            ".filter(one => { const box = one.getBoundingClientRect();"
            f" return box.left < 0 || box.right > {width} || box.width < 40; }}).map(one => one.id || one.tagName)"
        )
        assert not cut, f"at {width} pixels these are cut off: {cut}"
        # A message's text stands on lines of its own, below who said it.
        askew = await self.tell(
            "[...document.querySelectorAll('#log li')].filter(one => one.querySelector('.data').getBoundingClientRect().left"
            " > one.getBoundingClientRect().left + 1).map(one => one.innerText)"
        )
        assert not askew, f"at {width} pixels these messages are askew: {askew}"
        shot = await self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        Path(FOLDER, f"{name}.png").write_bytes(base64.b64decode(shot["data"]))


STATE = "document.getElementById('state').textContent"
HEARD = "document.getElementById('log').innerText"


async def as_a_person(page):
    await page.until("it says that the server is ready", "document.getElementById('health').textContent === 'ready'")
    # A token that is no good is refused, and the page says so.
    await page.write("token", REFUSED)
    await page.click("toggle")
    await page.until("the refusal is told", f"{STATE} === 'refused'")
    # The browser itself complains of the refused handshake.
    page.complaints.clear()

    await page.write("token", TOKEN)
    assert "reads c and writes c" in await page.tell("document.getElementById('claims').textContent")
    assert await page.tell("document.getElementById('channel').value") == "c"
    assert await page.tell("document.getElementById('send').disabled")
    await page.click("toggle")
    await page.until("it is connected", f"{STATE} === 'connected'")

    async with connect(f"{URL.replace('http', 'ws', 1)}?auth={TOKEN}", **TLS) as other:
        await other.send(json.dumps({"channel": "c", "data": "<b onclick=alert(1)>bold</b> \u00fc"}))
        await page.until("the message is shown, as text", f"{HEARD}.includes('<b onclick=alert(1)>bold</b> ü')")
        assert await page.tell("document.querySelectorAll('#log b').length") == 0
        await page.write("data", "from the page")
        await page.click("send")
        heard = json.loads(await asyncio.wait_for(other.recv(), PATIENCE))
        assert (heard["channel"], heard["data"]) == ("c", "from the page"), heard
        # What the token does not grant is said, since the server drops it without a word.
        await page.write("channel", "d")
        await page.write("data", "lost")
        await page.click("send")
        await page.until("it says so", f"{HEARD}.includes('does not grant writing d')")
    for name in VIEWS:
        await page.picture(name)

    # Nothing is kept, and nothing asked of anybody else.
    kept = await page.tell("JSON.stringify([localStorage.length, sessionStorage.length, document.cookie, location.href])")
    assert json.loads(kept) == [0, 0, "", URL], kept
    await page.click("toggle")
    await page.until("it is not connected", f"{STATE} === 'not connected'")
    own = (URL, URL.replace("http", "ws", 1))
    strangers = [url for url in page.requests if not url.startswith(own)]
    assert page.requests and not strangers, strangers
    assert not page.complaints, page.complaints
    # The policy lets no script in that is not the page's own.
    await page.tell("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.crept = 1'}))")
    assert await page.tell("window.crept === undefined"), "a foreign script ran"


async def main():
    profile = Path(FOLDER, "profile")
    browser = await asyncio.create_subprocess_exec(
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--disable-dev-shm-usage", "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        port = profile / "DevToolsActivePort"
        for _ in range(START * LOOKS):
            if port.exists() and port.read_text().strip():
                break
            assert browser.returncode is None, "the browser has ended"
            await asyncio.sleep(1 / LOOKS)
        number = port.read_text().split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{number}/json/list", timeout=START) as answer:
            tabs = [tab for tab in json.load(answer) if tab["type"] == "page"]
        async with connect(tabs[0]["webSocketDebuggerUrl"], max_size=None) as link:
            page = Page(link)
            for domain in ("Network", "Log", "Runtime", "Page"):
                await page.ask(f"{domain}.enable")
            await page.ask("Page.navigate", url=URL)
            await page.until("the page is there", "document.readyState === 'complete' && !!document.getElementById('state')")
            await as_a_person(page)
    finally:
        if browser.returncode is None:
            browser.kill()
        await browser.wait()


asyncio.run(main())
