// The page around the screens: the list, accessibility, keys, hostile texts, and what each user may see.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { signIn } from "../browser.mjs";
import {
  ann,
  bob,
  TIMES,
  report,
  scenario,
  server,
  page,
  begin,
  end,
  moment,
  settled,
  openInteraction,
} from "../harness.mjs";
import { attackInteraction, call, EVIL, lost, transfer } from "../scenario.mjs";

export async function list() {
  const many = 100_000;
  await begin({ scenario: scenario({ interactions: [], many }) });
  await page.waitForSelector(".list-rows .list-row");
  await page.fill(".filters [name=agent]", "bob");
  await page.press(".filters [name=agent]", "Enter");
  await page.waitForSelector(".filter-chips .chip");
  await page.waitForFunction(() =>
    [...document.querySelectorAll(".list-rows .c-agents")].every((cell) =>
      cell.textContent.includes("Bob Okafor"),
    ),
  );
  assert.match(page.url(), /agent=bob/);
  await page.reload();
  await page.waitForSelector(".list-rows .list-row");
  assert.equal(await page.inputValue(".filters [name=agent]"), "bob");
  await page.click(".filter-chips button");
  await page.waitForSelector(".filter-chips", { state: "hidden" });
  await page.waitForSelector(".list-rows .list-row");
  const begun = Date.now();
  await page.evaluate(() => {
    window.longest = 0;
    new PerformanceObserver((list) =>
      list.getEntries().forEach((entry) => (window.longest = Math.max(window.longest, entry.duration))),
    ).observe({ type: "longtask" });
  });
  await page.waitForFunction(
    (many) => {
      const scroller = document.querySelector(".list-scroll");
      scroller.scrollTop = scroller.scrollHeight;
      return document.querySelector(".list-status").textContent.startsWith(many.toLocaleString());
    },
    many,
    { timeout: 120_000, polling: 20 },
  );
  // The status is written before the last rows are drawn, and only then is the list as long as it will be.
  await page.waitForFunction(() => {
    const scroller = document.querySelector(".list-scroll");
    scroller.scrollTop = scroller.scrollHeight;
    return [...document.querySelectorAll(".list-rows .list-row")].some((row) =>
      row.textContent.includes("169999"),
    );
  });
  await page.evaluate(() => (document.querySelector(".list-scroll").scrollTop = 2_000_000));
  await page.waitForSelector(".list-rows .list-row:has-text('120000')");
  const rows = await page.locator(".list-rows .list-row").count();
  const heap = await page.evaluate(() => Math.round(performance.memory.usedJSHeapSize / 1e6));
  report({
    rows_in_page: rows,
    all_loaded_ms: Date.now() - begun,
    longest_task_ms: await page.evaluate(() => window.longest),
    heap_mb: heap,
  });
  assert.ok(rows < 80, `${rows} rows are in the page`);
  assert.ok((await page.evaluate(() => window.longest)) < 500);
}

export async function accessibility() {
  const axe = await readFile("tests/browser/node_modules/axe-core/axe.min.js", "utf8");
  let looked = 0;
  for (const [scheme, width] of [
    ["light", 1280],
    ["dark", 1280],
    ["light", 390],
  ]) {
    await begin({
      scenario: scenario({ interactions: [transfer(ann, bob, TIMES), lost], many: 300 }),
      context: { viewport: { width, height: 900 }, colorScheme: scheme, reducedMotion: "reduce" },
      as: null,
    });
    const judge = async (where) => {
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() =>
        window.axe.run(document, {
          runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
        }),
      );
      const found = violations.map(
        ({ id, help, nodes }) =>
          `${id}: ${help}: ${nodes
            .slice(0, 3)
            .map((node) => `${node.html} (${node.failureSummary})`)
            .join(" | ")}`,
      );
      assert.deepEqual(found, [], `${where}, ${scheme}, ${width} wide`);
      looked++;
    };
    await page.waitForSelector("dialog.sign-in");
    await judge("sign-in");
    await signIn(page);
    await page.waitForSelector(".list-rows .list-row");
    await judge("list");
    await page.click("text=More filters");
    await judge("more filters");
    await page.goto(`${server.address}/#/interactions?call=none`);
    await page.waitForSelector(".nothing");
    await judge("empty list");
    await page.goto(`${server.address}/#/interaction/77?at=${TIMES.ask * 1000}`);
    await settled();
    await page.keyboard.press("b");
    await page.waitForSelector(".screen.side video");
    await judge("interaction");
    await page.keyboard.press("?");
    await page.waitForSelector("dialog.keys");
    await judge("keys");
    await page.keyboard.press("Escape");
    await page.goto(`${server.address}/#/interaction/65`);
    await page.waitForSelector(".no-footage");
    await judge("missing footage");
    await page.goto(`${server.address}/#/live`);
    await page.waitForSelector(".cards .nothing");
    await judge("live");
    await page.goto(`${server.address}/#/operations`);
    await page.waitForSelector(".figure");
    await judge("operations");
    if (width < 500) {
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `the page is ${wide} px wider than a phone`);
    }
    await end();
  }
  report({ pages_judged: looked, violations: 0 });
}

export async function keyboard() {
  await begin({ scenario: scenario({ interactions: [transfer(ann, bob, TIMES), lost], many: 300 }) });
  await page.waitForSelector(".list-rows .list-row");
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.name), "agent");
  await page.keyboard.type("bob");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".filter-chips .chip");
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".screen.main video");
  await settled();
  const at = async (key, wanted) => {
    await page.keyboard.press(key);
    await page.waitForFunction(
      (wanted) =>
        Math.abs(Number(document.querySelector(".slider").getAttribute("aria-valuenow")) - wanted) < 40,
      wanted,
    );
  };
  await at("l", 10_000);
  await at("j", 0);
  await at("ArrowRight", 5000);
  await at("n", TIMES.ask * 1000);
  await at("n", TIMES.over * 1000);
  await at("p", TIMES.ask * 1000);
  await page.keyboard.press("2");
  await page.waitForSelector(".lane.is-main:has-text('Bob Okafor')");
  await page.keyboard.press("f");
  await page.waitForSelector(".lane.is-main:has-text('Ann Keller')");
  await page.keyboard.press("]");
  assert.equal(await page.inputValue(".speed"), "1.5");
  await page.keyboard.press("m");
  await page.keyboard.type("Here it is.");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".moment.note:has-text('Here it is.')");
  await page.waitForSelector(".mark-note");
  await page.keyboard.press("y");
  await page.waitForFunction((ms) => location.hash.includes(`at=${ms}`), TIMES.ask * 1000);
  await page.keyboard.press("i");
  await at("l", TIMES.ask * 1000 + 10_000);
  await page.keyboard.press("o");
  await page.keyboard.press("1");
  const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("d")]);
  assert.match(download.suggestedFilename(), /^77-ann\.mp4$/);
  // With single-character keys turned off, other keys still work.
  await page.keyboard.press("?");
  await page.click("dialog.keys label.check");
  await page.keyboard.press("Escape");
  const before = await moment();
  await page.keyboard.press("j");
  await page.keyboard.press("Shift+ArrowLeft");
  await page.waitForFunction(
    (before) => Number(document.querySelector(".slider").getAttribute("aria-valuenow")) < before,
    before,
  );
  assert.ok(Math.abs((await moment()) - TIMES.over * 1000) < 40, `${await moment()}`);
  report({ download: download.suggestedFilename() });
}

export async function attack() {
  const evil = attackInteraction(bob);
  const recordings = { [bob.id]: { folder: bob.folder, agent: EVIL } };
  const agents = [{ agent: EVIL, name: EVIL }];
  const completeness = {
    expected: 1,
    captured: 0,
    uploaded: 0,
    on_its_way: 0,
    coverage: { wanted_ms: 9, stored_ms: 0, withheld_ms: 0, on_its_way_ms: 0, missing_ms: 9 },
    missing: [
      {
        recording: null,
        agent: EVIL,
        interaction: EVIL,
        at: evil.started,
        wanted_ms: 9,
        missing_ms: 9,
        why: EVIL,
      },
    ],
  };
  const recorders = [
    {
      recorder: EVIL,
      place: EVIL,
      connected: false,
      seen: null,
      version: EVIL,
      clock_offset_ms: 1,
      doing: EVIL,
    },
  ];
  await begin({
    scenario: scenario({
      recordings,
      interactions: [evil],
      agents,
      completeness,
      recorders,
      groups: [{ group: EVIL }],
    }),
  });
  const clean = async (where) => {
    const found = await page.evaluate(() => [
      window.pwned,
      document.querySelectorAll("body script, main img, main iframe").length,
    ]);
    assert.deepEqual(found, [undefined, 0], `${where}: markup got into the page`);
    assert.ok(
      await page.evaluate((evil) => document.querySelector("main").textContent.includes(evil), EVIL),
      `${where}: the text is not shown`,
    );
  };
  await page.waitForSelector(".list-rows .list-row");
  await clean("list");
  await page.goto(`${server.address}/#/interactions?agent=${encodeURIComponent(EVIL)}`);
  await page.waitForSelector(".filter-chips .chip");
  await clean("filter");
  await openInteraction("evil");
  await page.fill(".note-form textarea", EVIL);
  await page.click(".note-form button");
  await page.waitForFunction(() => document.querySelectorAll(".moment.note").length === 2);
  await page.fill(".label-form input", `${EVIL}2`);
  await page.press(".label-form input", "Enter");
  await page.waitForFunction(() => document.querySelectorAll(".labels .chip").length === 2);
  await clean("interaction");
  await page.goto(`${server.address}/#/operations`);
  await page.waitForSelector("tr.is-away");
  await clean("operations");
  report({ shown_as_text: 5 });
}

export async function origin() {
  const asked = new Set();
  await begin();
  page.on("request", (request) => asked.add(new URL(request.url()).origin));
  await openInteraction();
  await page.goto(`${server.address}/#/operations`);
  await page.waitForSelector(".figure");
  await page.reload();
  await page.waitForSelector(".figure");
  const others = [...asked].filter((origin) => origin !== server.address && origin !== "null");
  assert.deepEqual(others, []);
  const policy = (await (await fetch(server.address)).headers).get("content-security-policy");
  assert.ok(!policy.includes("unsafe"), policy);
  report({ asked: [...asked] });
}

export async function own() {
  const own = call("90", ann, "ann", { end: 20 });
  await begin({ scenario: scenario({ interactions: [own] }), as: "ann" });
  await page.waitForSelector(".list-rows .list-row");
  assert.deepEqual(await page.locator(".tab").allTextContents(), ["My recordings"]);
  await openInteraction("90");
  assert.match(await page.textContent(".notice-own"), /Your screen was recorded/);
  await page.goto(`${server.address}/#/operations`);
  await page.waitForSelector(".list-rows .list-row");
  report({ views: 1 });
}
