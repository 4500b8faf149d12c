// The dashboard's main path: automations, levers, and what happened.

import { execFile } from "node:child_process";
import { createServer } from "node:net";

import { DEVSTACK, answer, connect, expect, integrations, picture, pull, run, scenario, status } from "./support.js";

const results = page => page.locator("#automation .results");
const received = page => results(page).getByLabel("Request 1 of 1 to HubSpot");

scenario("an automation with an old key runs beside what HubSpot received", [
  { url: /automation\.js/, from: "received(answer.requests)", to: "received([text])" },
  { url: /dev\/engine/, from: "contacts?limit=5 HTTP", to: "contacts?limit=5&hapikey=66666666 HTTP" },
  { url: /dashboard\.css/, from: ":focus-visible { outline:", to: ":focus-visible { outline: none; unused:", audit: true },
],
  async world => {
    const { page, audit } = world;
    await connect(world);
    await run(page, "An old API key in the URL");
    await expect(status(page, "automation")).toHaveText("HubSpot answered 200.");
    await expect(results(page).getByLabel("The customer's request")).toContainText("hapikey=66666666");
    await expect(received(page)).toContainText("GET /crm/v3/objects/contacts?limit=5 HTTP/1.1");
    await expect(received(page)).toContainText("authorization: Bearer ");
    await expect(received(page)).not.toContainText("hapikey");
    await expect(results(page)).toContainText("query:hapikey: a pasted credential in the URL.");
    await expect(answer(page, "Outcome")).toHaveText("answered");
    await expect(answer(page, "Retryable")).toHaveText("no");
    await audit("dashboard-run");
    await picture(page);
  });

for (const [name, ignored, sent, fault] of [
  ["A private-app token in a header", "header:authorization", "properties=email", { from: /Bearer [^\\]+/g, to: "Bearer pat-na1-11111111" }],
  ["No credential at all", "Nothing.", "limit=5", { from: /authorization: Bearer /g, to: "accept: " }],
  ["A search", "query:hapikey", "\"filterGroups\": [", { from: "filterGroups", to: "filtergroups" }],
  ["An upload", "Nothing.", "A short call.", { from: "A short call.", to: "A short call?" }],
]) {
  scenario(`a stored automation is sent as written: ${name}`, [{ url: /dev\/engine/, ...fault }, { url: /dev\/engine/, json: ({ body, ...rest }) => ({ ...rest, body: { ...body, ignored_credentials: ["cookie"] } }) }],
    async world => {
      const { page } = world;
      await connect(world);
      await run(page, name);
      await expect(results(page)).toContainText(ignored);
      await expect(received(page)).toContainText(sent);
      await expect(received(page)).toContainText("authorization: Bearer ");
      await expect(received(page)).not.toContainText("pat-na1");
    });
}

scenario("a check explains and sends nothing", [
  { url: /automation-checks/, from: "\"covered\"", to: "\"missing\"" },
  { journal: requests => [...requests, { kind: "hubspot", text: "HubSpot received GET /crm/v3/objects/contacts" }] },
],
  async world => {
    const { page, audit, journal } = world;
    await connect(world);
    await page.getByRole("button", { name: "Check" }).click();
    await expect(status(page, "automation")).toHaveText("Checked. Nothing was sent.");
    await expect(answer(page, "Scopes")).toHaveText("covered");
    await expect(answer(page, "Needs")).toHaveText("crm.objects.contacts.read");
    await expect(results(page)).toContainText("query:hapikey");
    expect((await journal()).filter(({ text }) => text.includes("/crm/"))).toEqual([]);
    await audit("dashboard-check");
  });

scenario("a check needs no list of the integrations, which can be tried again", [
  { url: /automation-checks/, from: "not_connected", to: "connected" },
  { url: /automation\.js/, from: "const { value } = form.elements.integration;", to: "const { value } = form.elements.integration.options[1];" },
  { url: /connection\.js/, from: ".append(again)", to: "" },
  { url: /connection\.js/, from: "if (!again.isConnected) focusTitle();", to: "" },
],
  async world => {
    const { page, stack, problems, open } = world;
    const check = () => page.getByRole("button", { name: "Check" }).click();
    problems.expected.push(/ERR_FAILED/, /status of 409/);
    await open();
    await check();
    await expect(status(page, "automation")).toContainText("(not_connected)");
    await connect(world);
    await page.route(`${stack.api}/v1/integrations`, route => route.abort());
    await open();
    await expect(status(page, "connection")).toContainText("does not answer.");
    await check();
    await expect(status(page, "automation")).toHaveText("Checked. Nothing was sent.");
    await page.getByRole("button", { name: "Try again" }).click();
    await expect(status(page, "connection")).toContainText("does not answer.");
    await expect(page.getByRole("button", { name: "Try again" })).toBeFocused();
    await page.unroute(`${stack.api}/v1/integrations`);
    await page.getByRole("button", { name: "Try again" }).click();
    await expect(integrations(page)).toHaveCount(1);
    await expect(page.getByRole("heading", { name: "1. Connect HubSpot" })).toBeFocused();
    await expect(page.getByRole("button", { name: "Try again" })).toHaveCount(0);
  });

scenario("a check names a misspelt path, a developer key and an end", [
  { url: /automation-checks/, from: "\"did_you_mean\":\"", to: "\"did_you_mean\":null,\"other\":\"" },
  { url: /page\.js/, from: "value !== false && value !== \"\"", to: "value !== \"\"" },
  { url: /automation-checks/, from: "\"developer_key\":true", to: "\"developer_key\":false" },
  { url: /automation\.js/, from: "deprecation(answer.deprecated)", to: "pretty(answer.deprecated)" },
],
  async world => {
    const { page, audit } = world;
    await connect(world);
    const check = async endpoint => {
      await page.getByLabel("Request, as the customer wrote it").fill(JSON.stringify({ method: "GET", endpoint }));
      await page.getByRole("button", { name: "Check" }).click();
      await expect(answer(page, "Sends")).toContainText(endpoint);
    };
    await check("/crm/v3/object/contacts");
    await expect(answer(page, "Did you mean")).toHaveText("/crm/v3/objects/contacts");
    await expect(answer(page, "Developer key")).toHaveCount(0);
    await expect(answer(page, "Deprecated")).toHaveCount(0);
    await check("/app-webhooks/2026-09/7/settings");
    await expect(answer(page, "Developer key")).toHaveText("HubSpot accepts only an app's developer key here, which is never sent.");
    await check("/crm/v4/objects/contacts/1/associations/deals");
    await expect(answer(page, "Deprecated")).toContainText(/^End(s|ed) on 2027-03-30; use the same API by date, such as \/crm\/associations\/2026-03\. /);
    await expect(answer(page, "Deprecated").getByRole("link", { name: "HubSpot's announcement" })).toHaveAttribute("href", /^https:\/\/developers\.hubspot\.com\/changelog\//);
    await audit("dashboard-check-findings");
  });

scenario("a write with an idempotency key is delivered once", { url: /automation\.js/, from: "member(\"idempotency_key\", key.value)", to: "\"\"" },
  async world => {
    const { page } = world;
    await connect(world);
    await run(page, "A write (give it an idempotency key)", { key: "call-1" });
    await expect(answer(page, "Status")).toHaveText("201 of HubSpot");
    await run(page);
    await expect(answer(page, "Replayed")).toContainText("yes");
    await expect(results(page)).toContainText("Nothing reached HubSpot.");
  });

scenario("a request to another host is refused with what to do", { url: /examples\.js/, from: "https://evil.example", to: "https://api.hubapi.com" },
  async world => {
    const { page } = world;
    await connect(world);
    await run(page, "A request that is refused: another host");
    await expect(answer(page, "Code")).toHaveText("endpoint_not_allowed");
    await expect(answer(page, "Outcome")).toHaveText("not_sent");
  });

scenario("automations of an older integration do not run", { url: /automation\.js/, from: "member(\"integration_id\", integration.value)", to: "\"\"" },
  async world => {
    const { page, open } = world;
    await connect(world);
    await page.getByRole("button", { name: "Connect another instance" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Connect another instance" }).click();
    await page.getByRole("button", { name: "Accept" }).click();
    await open();
    await expect(integrations(page)).toHaveCount(2);
    await page.getByLabel("Belongs to").selectOption({ index: 2 });
    await run(page);
    await expect(answer(page, "Code")).toHaveText("integration_superseded");
  });

scenario("150 runs show their progress and the rate limit", [
  { url: /dev\/engine/, from: "rate_limited", to: "internal" },
  { url: /automation\.js/, from: "progress.hidden = false", to: "" },
],
  async world => {
    const { page } = world;
    await connect(world);
    await pull(page, "rate-limit", { "Requests in 10 s": "3" });
    await expect(page.getByRole("list", { name: "In force" })).toContainText("HubSpot takes 3 requests in 10 s.");
    await page.getByRole("button", { name: "Run 150 times" }).click();
    await expect(page.getByRole("progressbar", { name: "Finished runs" })).toBeVisible();
    await expect(status(page, "automation")).toContainText(/^150 runs: /, { timeout: 90_000 });
    await expect(status(page, "automation")).toContainText("× 429 rate_limited");
  });

scenario("an expired access token is refreshed on use", { url: /levers\.js/, from: "`/dev/levers/${name}`", to: "`/dev/levers/recover`" },
  async world => {
    const { page, journal } = world;
    await connect(world);
    await pull(page, "expire-token");
    await run(page);
    await expect(answer(page, "Status")).toHaveText("200 of HubSpot");
    expect((await journal()).filter(({ detail }) => detail.includes("grant_type=refresh_token"))).toHaveLength(1);
    await expect(status(page, "levers")).toHaveText("The access tokens have expired.");
    await page.getByLabel("Show").selectOption("hubspot");
    await expect(page.locator("#timeline ol")).toContainText("HubSpot received POST /oauth/2026-03/token");
  });

scenario("a revoked connection says so and a reconnect heals it", { url: /v1\/integrations$/, from: "needs_reauthorization", to: "active" },
  async world => {
    const { page, open, audit } = world;
    await connect(world);
    await pull(page, "revoke");
    await pull(page, "run-refresh");
    await expect(integrations(page)).toContainText("It needs attention: reconnect it");
    await expect(integrations(page)).toContainText("HubSpot refused the refresh token");
    await audit("dashboard-attention");
    await run(page);
    await expect(answer(page, "Code")).toHaveText("reauthorization_required");
    await page.getByRole("button", { name: "Reconnect" }).click();
    await page.getByRole("button", { name: "Accept" }).click();
    await open();
    await expect(integrations(page)).toContainText("It runs the account's automations.");
  });

scenario("an uninstalled app is noticed", [
  { url: /dev\/engine/, json: answer => ({ ...answer, body: { ...answer.body, hubspot: { status: 200 } } }) },
  { url: /v1\/integrations$/, from: "needs_reauthorization", to: "active" },
],
  async world => {
    const { page } = world;
    await connect(world);
    await pull(page, "uninstall");
    await expect(status(page, "levers")).toContainText("The app is uninstalled in portal 44110011.");
    await run(page);
    await expect(answer(page, "Status")).toHaveText("401 of HubSpot");
    await pull(page, "run-refresh");
    await expect(integrations(page)).toContainText("It needs attention");
  });

scenario("the connection follows events without moving the focus", [
  { url: /timeline\.js/, from: "kind === \"event\" &&", to: "kind === \"none\" &&" },
  { url: /connection\.js/, from: "name(control) === focused)?.focus()", to: "name(control) === focused)" },
  { url: /timeline\.js/, from: "connection.follow(news.entries.some(", to: "news.entries.forEach(entry => connection.list());\n      (news.entries.some(" },
],
  async world => {
    const { page, lever, open } = world;
    await connect(world);
    // A burst of events.
    await page.route(/dev\/timeline/, async route => {
      const news = await (await route.fetch()).json();
      await route.fulfill({ json: { ...news, entries: news.entries.flatMap(entry => Array(5).fill(entry)) } });
    });
    let lists = 0;
    page.on("request", request => { if (/v1\/integrations$/.test(request.url()) && request.method() === "GET") lists += 1; });
    await open();
    await expect.poll(() => lists, "at the start, and after the events so far").toBe(2);
    await expect(page.locator("#connection")).not.toHaveAttribute("aria-busy");
    const disconnect = page.getByRole("button", { name: /^Disconnect the newest/ });
    await disconnect.focus();
    await lever("uninstall");
    await lever("run-refresh");
    await expect(integrations(page)).toContainText("needs reauthorization");
    await expect(integrations(page)).toContainText("It needs attention: reconnect it");
    await expect(disconnect).toBeFocused();
    expect(lists).toBe(3);
  });

for (const [how, expected] of [["502", ["unknown", "no"]], ["lost", ["unknown", "no"]], ["429", ["answered", "yes"]]]) {
  scenario(`a write while HubSpot fails with ${how} says what is known`, [
    { url: /dev\/engine/, json: answer => ({ ...answer, body: { ...answer.body, outcome: "not_sent" } }) },
    { url: /dev\/engine/, json: answer => ({ ...answer, body: { ...answer.body, retryable: !answer.body.retryable } }) },
  ],
    async world => {
      const { page, lever } = world;
      await connect(world);
      await lever("fail", { where: "api", how });
      await run(page, "A write (give it an idempotency key)", { key: "" });
      await expect(answer(page, "Outcome")).toHaveText(expected[0]);
      await expect(answer(page, "Retryable")).toHaveText(expected[1]);
    });
}

scenario("a slow HubSpot shows that the run goes on", { url: /page\.js/, from: "setInterval(show, 1000)", to: "0" },
  async world => {
    const { page, lever } = world;
    await connect(world);
    await lever("fail", { where: "api", how: "slow" });
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await expect(status(page, "automation")).toHaveText(/Running… [2-6] s/);
    await expect(status(page, "automation")).toHaveText("HubSpot answered 200.");
  });

scenario("an outage of the token endpoint passes", [
  { url: /dev\/engine/, from: "temporarily_unavailable", to: "reauthorization_required" },
  { url: /dev\/engine/, json: answer => ({ ...answer, body: { ...answer.body, retryable: false } }) },
],
  async world => {
    const { page, lever } = world;
    await connect(world);
    await lever("fail", { where: "token", how: "502" });
    await lever("expire-token");
    await run(page);
    await expect(answer(page, "Code")).toHaveText("temporarily_unavailable");
    await expect(answer(page, "Retryable")).toHaveText("yes");
  });

scenario("a withdrawn permission is named", { url: /dev\/engine/, from: "\"missing_scopes\"", to: "\"gone\"" },
  async world => {
    const { page } = world;
    await connect(world);
    await pull(page, "withdraw-scope", { Contacts: "write-only" });
    await run(page);
    await expect(answer(page, "Status")).toHaveText("403 of HubSpot");
    await expect(answer(page, "Missing scopes")).toContainText("crm.objects.contacts.read");
  });

scenario("refresh tokens rotate without anybody noticing", [
  { url: /levers\.js/, from: "showActive(pulled.active)", to: "showActive([])" },
  { url: /levers\/run-refresh/, from: "refreshed", to: "revoked" },
],
  async world => {
    const { page } = world;
    await connect(world);
    await pull(page, "rotate", { "Refresh tokens": "strict" });
    await expect(page.getByRole("list", { name: "In force" })).toContainText("Refresh tokens rotate");
    await pull(page, "run-refresh");
    await expect(status(page, "levers")).toContainText(/[1-9]\d* refreshed/);
    await pull(page, "run-refresh");
    await expect(status(page, "levers")).toContainText(/[1-9]\d* refreshed/);
    await run(page);
    await expect(answer(page, "Status")).toHaveText("200 of HubSpot");
  });

scenario("a renamed scope is accepted when connecting", { callback: "/connected", to: "/missing-scopes" },
  async world => {
    const { page, lever } = world;
    await lever("rename-scope");
    await connect(world);
    await expect(integrations(page)).toContainText("crm.objects.tickets.read");
  });

scenario("a portal that moved to another hub is followed there", [
  { url: /levers\.js/, from: "`/dev/levers/${name}`", to: "`/dev/levers/recover`" },
  { url: /dev\/engine/, from: "\"attempts\":1", to: "\"attempts\":2" },
],
  async world => {
    const { page } = world;
    await connect(world);
    await pull(page, "move-portal", { To: "eu1" });
    await run(page);
    await expect(answer(page, "Status")).toHaveText("200 of HubSpot");
    await expect(answer(page, "Attempts")).toHaveText("2");
    await run(page);
    await expect(answer(page, "Attempts")).toHaveText("1");
    await expect(page.getByRole("list", { name: "In force" })).toContainText("eu1");
  });

scenario("every lever can be pulled, and recovery ends what is in force", [
  { url: /levers\.js/, from: "return pulled.done", to: "return \"\"" },
  { url: /levers\/recover/, json: pulled => ({ ...pulled, active: ["HubSpot still fails."] }) },
],
  async world => {
    const { page, open } = world;
    await open();
    const forms = page.locator("#levers form:not(:has([data-lever=install]))");
    await expect(forms.first()).toBeVisible();
    for (const form of await forms.all()) {
      await form.getByRole("button").click();
      await expect(page.locator("#levers")).not.toHaveAttribute("aria-busy", "true");
      await expect(status(page, "levers")).toHaveClass("status good");
      await expect(status(page, "levers")).toContainText(/\.$/);
    }
    // The last lever lets HubSpot recover.
    await expect(page.getByRole("list", { name: "In force" })).toBeEmpty();
  });

scenario("hostile names are text, cut off, with a way to see the rest", [
  { url: /page\.js/, from: "const whole = visible(text)", to: "const whole = text" },
  { url: /page\.js/, from: "\"aria-label\": label }, whole.slice(0, shown));", to: "\"aria-label\": label });\nbox.innerHTML = whole.slice(0, shown);" },
  { url: /page\.js/, from: "shown = 2000", to: "shown = 2e9" },
],
  async world => {
    const { page, lever, audit } = world;
    let alerted = false;
    page.on("dialog", dialog => { alerted = true; dialog.dismiss(); });
    await connect(world);
    await lever("hostile-contact");
    await page.getByLabel("Stored automation").selectOption({ label: "No credential at all" });
    await page.getByLabel("Request, as the customer wrote it").fill(JSON.stringify({
      method: "GET", endpoint: "/crm/v3/objects/contacts?limit=100&properties=firstname,lastname,website",
    }));
    await run(page);
    const body = results(page).getByRole("group", { name: "Body of HubSpot's answer" });
    await expect(body).toContainText("<img src=x onerror=alert(1)>");
    await expect(body).toContainText("evil\\u{202e}gpj.exe");
    expect((await body.textContent()).length).toBeLessThanOrEqual(2000);
    await audit("dashboard-hostile");
    await results(page).getByRole("button", { name: /^Show all / }).click();
    await expect(body).toBeFocused();
    expect((await body.textContent()).length).toBeGreaterThan(600_000);
    expect(alerted).toBe(false);
    expect(await page.locator(".results img").count()).toBe(0);
  });

scenario("a binary answer is shown as base64", [
  { url: /dev\/engine/, from: "\"body_base64\"", to: "\"body_text\"" },
  { url: /dev\/engine/, from: "AJ+Slv8=", to: "AO+/vQ==" },
],
  async world => {
    const { page, lever } = world;
    await connect(world);
    await lever("fail", { where: "api", how: "binary" });
    await run(page);
    await expect(results(page)).toContainText("Binary, as base64:");
    await expect(results(page)).toContainText("AJ+Slv8=");
  });

scenario("the timeline shows events and can be filtered", [
  { url: /timeline\.js/, from: "!kind.value || entry.kind === kind.value", to: "true" },
  { url: /dev\/timeline/, json: news => ({ ...news, entries: news.entries.map(entry => ({ ...entry, account_id: entry.kind === "hubspot" ? null : entry.account_id })) }) },
],
  async world => {
    const { page, account } = world;
    await connect(world);
    await run(page);
    const items = page.locator("#timeline li");
    await expect(items.filter({ hasText: "automation-execute" }).first()).toBeVisible();
    await page.getByLabel("Show").selectOption("hubspot");
    await expect(items.filter({ hasText: "GET /crm/v3/objects/contacts" })).toContainText(`hubspot · ${account}`);
    await page.getByLabel("Show").selectOption("event");
    await expect(items).toHaveCount(1);
    await expect(items).toContainText(`event · ${account} IntegrationConnected`);
    await items.locator("summary").click();
    await expect(items.locator("pre")).toContainText("\"detail-type\": \"IntegrationConnected\"");
  });

scenario("a request that is not JSON is refused with what to do", [
  { url: /automation\.js/, from: "form.elements.request.focus();", to: "" },
  { url: /automation\.js/, from: "JSON.parse(text);", to: "" },
],
  async world => {
    const { page } = world;
    await connect(world);
    await page.getByLabel("Request, as the customer wrote it").fill("{ not json");
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await expect(status(page, "automation")).toContainText("The request is not JSON:");
    await expect(page.getByLabel("Request, as the customer wrote it")).toBeFocused();
  });

const SILENT = { url: /api\.js/, from: "throw new Error(`${who} does not", to: "return new Response(\"{}\");\n(`${who} does not" };

scenario("the dashboard is marked as busy until it can be used", [
  { url: /\/\?account=/, from: " aria-busy=\"true\"", to: "" },
  { url: /dashboard\.js/, from: "removeAttribute", to: "hasAttribute" },
], async ({ page, open }) => {
  let answer;
  await page.route(/dev\/levers$/, async route => {
    await new Promise(resolve => { answer = resolve; });
    await route.continue();
  });
  await open();
  await expect.poll(() => answer).toBeDefined();
  await expect(page.locator("main")).toHaveAttribute("aria-busy", "true");
  answer();
  await expect(page.locator("main")).not.toHaveAttribute("aria-busy");
  await expect(page.locator("#levers form").first()).toBeVisible();
});

scenario("an API that is down is reported with what to do", SILENT, async ({ page, context, stack, problems, open, audit }) => {
  problems.expected.push(/ERR_FAILED|ERR_CONNECTION_REFUSED/);
  await context.route(`${stack.api}/**`, route => route.abort());
  await open();
  await expect(status(page, "connection")).toContainText("does not answer. Is \"make run\" still running?");
  await audit("dashboard-api-down");
});

scenario("a token after its day is reported with what to do", { url: /api\.js/, from: "response.status === 401", to: "response.status === 499" }, async ({ page, context, problems, open, audit }) => {
  problems.expected.push(/status of 401/);
  await context.route(/dev\/session/, async route => {
    const session = await (await route.fetch()).json();
    await route.fulfill({ json: { ...session, token: `${session.token}x` } });
  });
  await open();
  await expect(status(page, "connection")).toContainText("Reload this page to get another.");
  await audit("dashboard-token-over");
});

scenario("a port that is taken ends with a sentence", true, async ({ broken }) => {
  const server = createServer();
  await new Promise(resolve => { server.listen(0, "127.0.0.1", resolve); });
  const port = broken ? 0 : server.address().port;
  const failed = await new Promise(resolve => { execFile(DEVSTACK, ["run", "--port", String(port)], (error, _, stderr) => resolve({ error, stderr })); });
  server.close();
  expect(failed.error?.code).toBe(1);
  expect(failed.stderr).toContain(`port ${port} is taken by another program: choose another, or leave it out to get a free one`);
});
