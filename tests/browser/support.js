// What the scenarios share: a stack per worker, an account and an observed browser profile per scenario, and audits.
//
// With FAULTS=1 every scenario runs once with each of its faults put in, and has to fail.

import { spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { createInterface } from "node:readline";

import { expect, test as base } from "@playwright/test";

const FAULTS = Boolean(process.env.FAULTS);
const ROOT = path.resolve(import.meta.dirname, "../..");
export const DEVSTACK = path.join(process.env.CARGO_TARGET_DIR ?? path.join(ROOT, "target"), "debug/devstack");
const SCREENS = path.join(import.meta.dirname, "results/screens");
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const LOOPBACK = ["localhost", "127.0.0.1"];
const WIDTHS = [360, 1600];
const SCHEMES = ["light", "dark"];

export { expect };

/** Starts `devstack run` and waits for its addresses. */
async function startStack() {
  const child = spawn(DEVSTACK, ["run"], { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
  const addresses = {};
  for await (const line of createInterface({ input: child.stdout })) {
    const [, name, url] = line.match(/^ {2}(Dashboard|API|HubSpot) +(http:\S+)/) ?? [];
    if (name) addresses[name.toLowerCase()] = url.replace(/\/$/, "");
    if (addresses.hubspot) break;
  }
  if (!addresses.hubspot) throw new Error(`${DEVSTACK} run did not print its addresses`);
  child.stdout.resume();
  return { ...addresses, child };
}

/** Records what must not happen in a browser profile: errors on the console, CSP violations, requests to other hosts. */
async function observe(context, problems) {
  context.on("console", message => {
    if (message.type() === "error") problems.push(`console: ${message.text()}`);
  });
  context.on("weberror", ({ error }) => problems.push(`exception: ${typeof error === "function" ? error().message : error}`));
  context.on("request", request => {
    const { protocol, hostname } = new URL(request.url());
    if (protocol !== "data:" && !LOOPBACK.includes(hostname)) problems.push(`request to ${hostname}`);
  });
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", event => console.error(`CSP violation: ${event.violatedDirective} ${event.blockedURI}`));
  });
}

export const test = base.extend({
  stack: [async ({}, use) => {
    const { child, ...addresses } = await startStack();
    const unused = [];
    await use({ ...addresses, unused });
    child.kill("SIGINT");
    if (unused.length) throw new Error(`These faults met nothing: ${unused.join("; ")}`);
  }, { scope: "worker", timeout: 60_000 }],

  problems: async ({}, use) => {
    const problems = [];
    problems.expected = [];
    await use(problems);
    const left = problems.filter(problem => !problems.expected.some(expected => expected.test(problem)));
    expect(left, "console errors, CSP violations and requests to other hosts").toEqual([]);
  },

  context: async ({ context, problems }, use) => {
    await observe(context, problems);
    await use(context);
  },

  /** A second browser profile, observed like the first. */
  otherProfile: async ({ browser, problems }, use) => {
    const context = await browser.newContext();
    await observe(context, problems);
    await use(context);
    await context.close();
  },
});

let accounts = 0;

/**
 * Acts where HubSpot sends the browser to the callback, and sends it where `act` says. Playwright's routes see only the
 * first request of a chain of redirects, so that a route for the callback itself would never be asked.
 */
export async function onCallback(context, act) {
  await context.route(/oauth\/authorize\/decision/, async route => {
    const decided = await route.fetch({ maxRedirects: 0 });
    await route.fulfill({ status: 303, headers: { location: await act(decided.headers().location) } });
  });
}

/** Calls the callback with the profile's cookies; gives its status and where it sends the browser. */
export async function callBack(context, callback, headers = {}) {
  const cookie = (await context.cookies(callback)).map(({ name, value }) => `${name}=${value}`).join("; ");
  const answer = await context.request.get(callback, { maxRedirects: 0, headers: { ...headers, cookie } });
  return { status: answer.status(), location: answer.headers().location };
}

/** `{ callback, to }` changes where the callback sends the browser. */
async function misdirect(context, { callback, to }) {
  const fault = { met: false };
  await onCallback(context, async url => {
    const { location } = await callBack(context, url);
    fault.met ||= location.includes(callback);
    return location.replace(callback, to);
  });
  return fault;
}

/** `{ url, from, to }` changes texts and `{ url, json }` a body on their way to the browser. */
async function putIn(context, { url, from, to, json }) {
  const fault = { met: false };
  const changed = text => {
    const now = json ? JSON.stringify(json(JSON.parse(text))) : text.replaceAll(from, to);
    fault.met ||= now !== text;
    return now;
  };
  const pass = async route => {
    const response = await route.fetch({ maxRedirects: 0 });
    const headers = response.headers();
    delete headers["content-length"];
    const preflight = route.request().method() === "OPTIONS";
    for (const name of json ? [] : ["location", "set-cookie"]) if (headers[name]) headers[name] = changed(headers[name]);
    const body = await response.text();
    await route.fulfill({ status: response.status(), headers, body: preflight || !body ? body : changed(body) });
  };
  // A scenario can end while a request is under way.
  await context.route(url, route => pass(route).catch(() => route.abort().catch(() => {})));
  return fault;
}

/**
 * A scenario, and one or more faults that it has to notice. A fault changes what the browser gets (see `putIn` and
 * `misdirect`) or, as `{ journal }`, what HubSpot's journal says; `true` means what the scenario itself does where it is `broken`.
 */
export function scenario(title, faults, body) {
  const all = FAULTS ? [faults].flat() : [undefined];
  all.forEach((fault, at) => test(all.length > 1 ? `${title} (fault ${at + 1})` : title, async ({ page, context, stack, problems, otherProfile }, info) => {
    test.fail(FAULTS, "a fault is put in");
    accounts += 1;
    const account = `acc_${info.workerIndex}_${accounts}`;
    const put = fault?.url ? await putIn(context, fault) : fault?.callback ? await misdirect(context, fault) : { met: true };
    const dev = (path, data) => context.request.post(`${stack.dashboard}/dev/${path}`, { data: data ?? {} });
    await dev("levers/recover");
    const { cursor } = await news(context, stack);
    const world = {
      page, context, stack, problems, otherProfile, account, broken: fault === true,
      lever: async (name, parameters = {}) => expect((await dev(`levers/${name}`, { account, ...parameters })).ok()).toBe(true),
      open: (role = "admin") => page.goto(`${stack.dashboard}/?account=${account}&role=${role}`),
      audit: (name, of = page) => FAULTS && !fault.audit ? undefined : audit(of, name),
      /** The requests that HubSpot got since the scenario began. */
      journal: async () => {
        const requests = (await news(context, stack, cursor)).entries.filter(({ kind }) => kind === "hubspot");
        return fault?.journal ? fault.journal(requests) : requests;
      },
    };
    try {
      await body(world);
    } catch (error) {
      if (FAULTS) console.log(`    ${title}\n      fails with: ${error.message.split("\n").slice(0, 6).join(" ").slice(0, 300)}`);
      throw error;
    } finally {
      if (!put.met) stack.unused.push(title);
    }
  }));
}

const news = async (context, stack, after = "") => (await context.request.get(`${stack.dashboard}/dev/timeline?after=${after}`)).json();

/** The controls of a page or of its open dialog in reading order, and the focus at the start of them. */
function beginFocus() {
  const root = document.querySelector("dialog[open]") ?? document.body;
  const controls = [...root.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
    .filter(control => !control.disabled && control.tabIndex >= 0 && control.checkVisibility())
    // The timeline grows meanwhile; it comes last.
    .filter(control => !control.closest("#timeline li"));
  const before = root.getAttribute("tabindex");
  root.tabIndex = -1;
  root.focus();
  if (before === null) root.removeAttribute("tabindex");
  globalThis.focusOrder = controls;
  return controls.length;
}

/** What is wrong with the control that should have the focus now. */
function checkFocus(at) {
  const [wanted, focused] = [globalThis.focusOrder[at], document.activeElement];
  const name = control => `${control.localName} "${(control.getAttribute("aria-label") ?? control.name ?? control.textContent).slice(0, 40)}"`;
  if (focused !== wanted) return `${name(focused)} has the focus, not ${name(wanted)}`;
  const { outlineStyle, outlineWidth } = getComputedStyle(focused);
  if (outlineStyle === "none" || outlineWidth === "0px") return `${name(focused)} does not show its focus`;
  const { top, bottom } = focused.getBoundingClientRect();
  return bottom <= 0 || top >= innerHeight ? `${name(focused)} has the focus out of sight` : undefined;
}

/** Goes through a page by the Tab key: every control in reading order, each visibly. */
async function auditFocus(page, where) {
  const count = await page.evaluate(beginFocus);
  for (let at = 0; at < count; at += 1) {
    await page.keyboard.press("Tab");
    const wrong = await page.evaluate(checkFocus, at);
    expect.soft(wrong, `${where}: focus`).toBeUndefined();
    if (wrong) return;
  }
}

/** Checks a page by axe-core, by its width and by its focus order, and keeps pictures: two widths, both schemes. */
export async function audit(page, name) {
  // Controls that are disabled or added meanwhile would change the focus order.
  await expect(page.locator("[aria-busy=true]")).toHaveCount(0);
  mkdirSync(SCREENS, { recursive: true });
  await page.evaluate(AXE);
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 900 });
    await auditFocus(page, `${name} at ${width} px`);
    for (const colorScheme of SCHEMES) {
      await page.emulateMedia({ colorScheme });
      const where = `${name} at ${width} px, ${colorScheme}`;
      const { violations } = await page.evaluate(() => globalThis.axe.run(document, {
        runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
        resultTypes: ["violations"],
      }));
      const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(node => node.html).join(" ").slice(0, 300)}`);
      expect.soft(found, where).toEqual([]);
      const excess = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect.soft(excess, `${where}: wider than the screen`).toBeLessThanOrEqual(0);
      await page.evaluate(() => scrollTo(0, 0));
      if (!FAULTS) await page.screenshot({ path: path.join(SCREENS, `${name}-${width}-${colorScheme}.png`), fullPage: true, animations: "disabled" });
    }
  }
  await page.emulateMedia({ colorScheme: null });
  await page.setViewportSize({ width: 1280, height: 900 });
}

/** The picture of the README: the dashboard at an automation that ran. */
export async function picture(page) {
  await page.setViewportSize({ width: 1280, height: 920 });
  await page.emulateMedia({ colorScheme: "light" });
  await page.locator("#automation").evaluate(section => {
    document.activeElement.blur();
    // A screen of 1,600 px, in a picture small enough to be committed.
    document.documentElement.style.zoom = "0.8";
    section.scrollIntoView();
  });
  await page.screenshot({ path: process.env.PICTURE ?? path.join(SCREENS, "readme.jpg"), type: "jpeg", quality: 50, animations: "disabled" });
}

// Steps that many scenarios have in common.

export const integrations = page => page.locator("#connection .cards > li");
export const status = (page, section) => page.locator(`#${section} .status`);

/** From the dashboard to HubSpot's consent page and back to the result page. */
export async function consent(page, { portal, decision = "Accept" } = {}) {
  await expect(page).toHaveTitle(/Connect an app to HubSpot/);
  if (portal) await page.getByLabel("HubSpot account").selectOption(portal);
  await page.getByRole("button", { name: decision }).click();
}

export const outcome = async (page, name) => expect(page).toHaveURL(new RegExp(`/oauth/hubspot/result/${name}$`));

export async function connect({ page, open }) {
  await open();
  await page.getByRole("button", { name: "Connect HubSpot" }).click();
  await consent(page);
  await outcome(page, "connected");
  await open();
  await expect(integrations(page)).toHaveCount(1);
}

/** Runs one of the stored automations and waits for its answer. */
export async function run(page, automation, { key } = {}) {
  if (automation) await page.getByLabel("Stored automation").selectOption({ label: automation });
  if (key !== undefined) await page.getByRole("textbox", { name: "Idempotency key" }).fill(key);
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await expect(page.locator("#automation")).not.toHaveAttribute("aria-busy", "true", { timeout: 60_000 });
}

export const pull = async (page, name, choices = {}) => {
  const form = page.locator(`form:has([data-lever="${name}"])`);
  for (const [label, option] of Object.entries(choices)) await form.getByLabel(label).selectOption(option);
  await form.getByRole("button").click();
  // An installation leaves the page for HubSpot's.
  if (name !== "install") await expect(page.locator("#levers")).not.toHaveAttribute("aria-busy", "true");
};

export const answer = (page, term) => page.locator("#automation .results dt", { hasText: new RegExp(`^${term}$`) }).locator("+ dd");
