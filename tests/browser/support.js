// What the scenarios share: a stack per worker, an account and an observed browser profile per scenario, and audits.
//
// With FAULTS=1 every scenario runs with its fault put in, and has to fail.

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

/** Texts of answers that are changed on their way to the browser. */
async function putIn(context, { url, from, to }) {
  const fault = { met: false };
  await context.route(url, async route => {
    const response = await route.fetch({ maxRedirects: 0 });
    const headers = response.headers();
    const changed = text => {
      if (text?.includes(from)) fault.met = true;
      return text?.replaceAll(from, to);
    };
    if (headers.location) headers.location = changed(headers.location);
    delete headers["content-length"];
    await route.fulfill({ status: response.status(), headers, body: changed(await response.text()) });
  });
  return fault;
}

/**
 * A scenario with its fault: `{ url, from, to }` changes what the browser gets, and `true` means what the scenario itself
 * does where it is `broken`.
 */
export function scenario(title, fault, body) {
  test(title, async ({ page, context, stack, problems, otherProfile }, info) => {
    test.fail(FAULTS, "a fault is put in");
    accounts += 1;
    const account = `acc_${info.workerIndex}_${accounts}`;
    const put = FAULTS && fault !== true ? await putIn(context, fault) : { met: true };
    const dev = (path, data) => context.request.post(`${stack.dashboard}/dev/${path}`, { data: data ?? {} });
    await dev("levers/recover");
    const world = {
      page, context, stack, problems, otherProfile, account, broken: FAULTS,
      lever: async (name, parameters = {}) => expect((await dev(`levers/${name}`, { account, ...parameters })).ok()).toBe(true),
      open: (role = "admin") => page.goto(`${stack.dashboard}/?account=${account}&role=${role}`),
      audit: (name, of = page) => FAULTS && fault.audit === undefined ? undefined : audit(of, name),
    };
    try {
      await body(world);
    } catch (error) {
      if (FAULTS) console.log(`    ${title}\n      fails with: ${error.message.split("\n").slice(0, 6).join(" ").slice(0, 300)}`);
      throw error;
    } finally {
      if (!put.met) stack.unused.push(title);
    }
  });
}

/** Checks a page by axe-core and by its width, in both schemes at two widths, and keeps a picture of each. */
export async function audit(page, name) {
  mkdirSync(SCREENS, { recursive: true });
  await page.evaluate(AXE);
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 900 });
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
      await page.screenshot({ path: path.join(SCREENS, `${name}-${width}-${colorScheme}.png`), fullPage: true, animations: "disabled" });
    }
  }
  await page.emulateMedia({ colorScheme: null });
  await page.setViewportSize({ width: 1280, height: 900 });
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
  await expect(page.locator("#automation")).not.toHaveAttribute("aria-busy", "true", { timeout: 25_000 });
}

export const pull = async (page, name, choices = {}) => {
  const form = page.locator(`form:has([data-lever="${name}"])`);
  for (const [label, option] of Object.entries(choices)) await form.getByLabel(label).selectOption(option);
  await form.getByRole("button").click();
  // An installation leaves the page for HubSpot's.
  if (name !== "install") await expect(page.locator("#levers")).not.toHaveAttribute("aria-busy", "true");
};

export const answer = (page, term) => page.locator("#automation .results dt", { hasText: new RegExp(`^${term}$`) }).locator("+ dd");
