// Connecting HubSpot, as the admin of an account does it in a browser.

import { connect, consent, expect, integrations, outcome, pull, scenario, status } from "./support.js";

const begin = (page, name = "Connect HubSpot") => page.getByRole("button", { name }).click();

/** How often HubSpot's token endpoint was asked since `cursor` of the timeline. */
async function exchanges(page, stack, cursor = "") {
  const news = await (await page.request.get(`${stack.dashboard}/dev/timeline?after=${cursor}`)).json();
  const asked = news.entries.filter(({ kind, text, detail }) => kind === "hubspot" && /\/token$/.test(text) && detail.includes("authorization_code"));
  return { cursor: news.cursor, count: asked.length };
}

scenario("an admin connects HubSpot and sees the connection", { url: /connection\.js/, from: "integrations.map(card)", to: "[]" },
  async ({ page, open, audit }) => {
    await open();
    await expect(page.getByRole("button", { name: "Connect HubSpot" })).toBeEnabled();
    await audit("dashboard-empty");
    await begin(page);
    await expect(page).toHaveTitle(/Connect an app/);
    await audit("consent");
    await consent(page);
    await outcome(page, "connected");
    await open();
    await expect(integrations(page)).toHaveCount(1);
    await expect(integrations(page)).toContainText("It runs the account's automations.");
    await expect(integrations(page)).toContainText("44110011");
    await audit("dashboard-connected");
  });

scenario("declining at HubSpot connects nothing", { url: /oauth\/authorize\?/, from: "value=\"decline\"", to: "value=\"accept\"" },
  async ({ page, open }) => {
    await open();
    await begin(page);
    await consent(page, { decision: "Decline" });
    await outcome(page, "declined");
    await open();
    await expect(page.getByRole("button", { name: "Connect HubSpot" })).toBeEnabled();
    await expect(integrations(page)).toHaveCount(0);
  });

scenario("reconnecting keeps the integration", { url: /connection\.js/, from: "begin({ integration_id: id })", to: "begin({ new_instance: true })" },
  async world => {
    const { page, open } = world;
    await connect(world);
    const before = await integrations(page).locator("dd").first().textContent();
    await begin(page, "Reconnect");
    await consent(page);
    await outcome(page, "reconnected");
    await open();
    await expect(integrations(page)).toHaveCount(1);
    await expect(integrations(page).locator("dd").first()).toHaveText(before);
  });

scenario("reconnecting with another portal is refused", { url: /oauth\/authorize\?/, from: "44110022", to: "44110011" },
  async world => {
    const { page, open } = world;
    await connect(world);
    await begin(page, "Reconnect");
    await consent(page, { portal: "44110022" });
    await outcome(page, "different-portal");
    await open();
    await expect(integrations(page)).toContainText("44110011");
  });

scenario("a further instance is asked about and stops the older one", { url: /connection\.js/, from: "await ask(\"Connect another", to: "true || (\"" },
  async world => {
    const { page, open, audit } = world;
    await connect(world);
    await begin(page, "Connect another instance");
    await expect(page.getByRole("dialog", { name: "Connect another instance?" })).toContainText("stop");
    await audit("dialog");
    await page.getByRole("dialog").getByRole("button", { name: "Connect another instance" }).click();
    await consent(page, { portal: "44110022" });
    await outcome(page, "connected");
    await open();
    await expect(integrations(page)).toHaveCount(2);
    await expect(integrations(page).first()).toContainText("Newest integration");
    await expect(integrations(page).last()).toContainText("Its automations do not run: only the newest integration runs automations.");
    await audit("dashboard-two");
  });

scenario("two tabs that connect at once end with one integration", { url: /connection\.js/, from: "begin({})", to: "begin({ new_instance: true })" },
  async ({ page, context, stack, account, open }) => {
    const other = await context.newPage();
    await open();
    await other.goto(`${stack.dashboard}/?account=${account}&role=admin`);
    await begin(page);
    await begin(other);
    await consent(page);
    await outcome(page, "connected");
    await consent(other);
    await outcome(other, "already-connected");
    await open();
    await expect(integrations(page)).toHaveCount(1);
  });

scenario("a link opened in another browser is refused and the first can go on", true,
  async ({ page, context, otherProfile, open, broken }) => {
    await open();
    await begin(page);
    await expect(page).toHaveTitle(/Connect an app/);
    if (broken) await otherProfile.addCookies(await context.cookies());
    const stranger = await otherProfile.newPage();
    await stranger.goto(page.url());
    await consent(stranger);
    await outcome(stranger, "other-browser");
    await consent(page);
    await outcome(page, "connected");
  });

scenario("an unknown or old state ends as expired", { url: /oauth\/hubspot\/callback/, from: "/expired", to: "/failed" },
  async ({ page, stack }) => {
    await page.goto(`${stack.api}/oauth/hubspot/callback?code=abc&state=${"A".repeat(43)}`);
    await outcome(page, "expired");
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  });

scenario("going back and accepting again connects nothing twice", true,
  async ({ page, context, stack, open, broken }) => {
    const { cursor } = await exchanges(page, stack);
    await open();
    await begin(page);
    await consent(page);
    await outcome(page, "connected");
    if (broken) await context.clearCookies();
    await page.goBack();
    await consent(page);
    await outcome(page, "connected");
    expect((await exchanges(page, stack, cursor)).count).toBe(1);
    await open();
    await expect(integrations(page)).toHaveCount(1);
  });

scenario("reloading the callback and the result changes nothing", true,
  async ({ page, context, stack, open, broken }) => {
    const { cursor } = await exchanges(page, stack);
    let callback;
    page.on("request", request => { if (request.url().includes("/oauth/hubspot/callback")) callback = request.url(); });
    await open();
    await begin(page);
    await consent(page);
    await outcome(page, "connected");
    await page.reload();
    await expect(page.getByRole("heading", { level: 1 })).toHaveText("HubSpot is connected");
    if (broken) await context.clearCookies();
    await page.goto(callback);
    await outcome(page, "connected");
    expect((await exchanges(page, stack, cursor)).count).toBe(1);
  });

/** Sends the callback before the page does, `times` times, as link scanners and impatient people do. */
async function callFirst(page, headers, times, broken) {
  await page.route(/oauth\/hubspot\/callback/, async route => {
    const cookie = broken ? "" : (await route.request().allHeaders()).cookie;
    const early = Array.from({ length: times }, () => page.request.get(route.request().url(), { maxRedirects: 0, headers: { ...headers, cookie } }));
    const answers = await Promise.all(early);
    for (const answer of answers) expect(answer.headers().location).toMatch(/connected$/);
    await route.continue();
  });
}

scenario("a doubled callback is exchanged once", true, async ({ page, stack, open, broken }) => {
  const { cursor } = await exchanges(page, stack);
  await callFirst(page, {}, 3, broken);
  await open();
  await begin(page);
  await consent(page);
  await outcome(page, "connected");
  expect((await exchanges(page, stack, cursor)).count).toBe(1);
  await open();
  await expect(integrations(page)).toHaveCount(1);
});

scenario("a prefetched callback does not spoil the connection", true, async ({ page, stack, open, broken }) => {
  const { cursor } = await exchanges(page, stack);
  await callFirst(page, { "sec-purpose": "prefetch", purpose: "prefetch" }, 1, broken);
  await open();
  await begin(page);
  await consent(page);
  await outcome(page, "connected");
  expect((await exchanges(page, stack, cursor)).count).toBe(1);
});

scenario("an installation from the marketplace with sign-in connects the account", { url: /levers\.js/, from: "pulled.open)", to: "pulled.open && location.reload())" },
  async ({ page, stack, account, open, audit }) => {
    await open();
    await pull(page, "install", { "Partner sign-in": "first" });
    await expect(page.getByRole("button", { name: "Continue the installation" })).toBeVisible();
    const back = new URL(page.url());
    back.searchParams.set("account", account);
    await page.goto(back.href);
    await audit("dashboard-installation");
    await begin(page, "Continue the installation");
    await consent(page);
    await expect(page.getByRole("heading", { name: "The app is installed" })).toBeVisible();
    expect(new URL(page.url()).origin).toBe(stack.hubspot);
    await open();
    await expect(integrations(page)).toHaveCount(1);
  });

scenario("an installation without sign-in is finished from the dashboard", { url: /levers\.js/, from: "{ account: session.account, ...parameters }", to: "{}" },
  async ({ page, open }) => {
    await open();
    await pull(page, "install", { "Partner sign-in": "none" });
    await consent(page);
    await expect(page.getByText("Connect HubSpot here to finish it.")).toBeVisible();
    await open();
    await expect(integrations(page)).toHaveCount(0);
  });

scenario("connecting works where third-party cookies are blocked", true,
  async ({ page, context, stack, account, open, problems, broken }) => {
    const session = await context.newCDPSession(page);
    await session.send("Network.enable");
    await session.send("Network.setCookieControls", { enableThirdPartyCookieRestriction: true });
    await open();
    // Another site than the API's, as a dashboard on a domain of its own would be.
    if (broken) await page.goto(`${stack.dashboard.replace("localhost", "127.0.0.1")}/?account=${account}&role=admin`);
    if (broken) problems.expected.push(/./);
    await begin(page);
    await consent(page);
    await outcome(page, "connected");
  });

scenario("a member sees the connection and cannot change it", { url: /dev\/session/, from: "\"role\":\"member\"", to: "\"role\":\"admin\"" },
  async world => {
    const { page, open, audit } = world;
    await connect(world);
    await open("member");
    await expect(status(page, "connection")).toContainText("Only admins");
    await expect(page.getByRole("button", { name: "Reconnect" })).toBeDisabled();
    await expect(page.getByRole("button", { name: "Connect another instance" })).toBeDisabled();
    await audit("dashboard-member");
  });

scenario("disconnecting is asked about and can be cancelled", { url: /connection\.js/, from: "if (!await ask(\"Disconnect", to: "if (!(\"Disconnect" },
  async world => {
    const { page } = world;
    await connect(world);
    await page.getByRole("button", { name: /^Disconnect the newest/ }).click();
    await expect(page.getByRole("dialog")).toContainText("Its automations stop.");
    await expect(page.getByRole("button", { name: "Cancel" })).toBeFocused();
    await page.keyboard.press("Escape");
    await expect(integrations(page)).toHaveCount(1);
    await page.getByRole("button", { name: /^Disconnect the newest/ }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Disconnect" }).click();
    await expect(status(page, "connection")).toHaveText("Disconnected.");
    await expect(integrations(page)).toHaveCount(0);
  });

scenario("the whole connection can be made by keyboard", { url: /page\.js/, from: "type: \"button\", onclick", to: "tabindex: -1, type: \"button\", onclick" },
  async ({ page, open }) => {
    const press = async (name, role = "button") => {
      const wanted = page.getByRole(role, { name, exact: true });
      for (let presses = 0; presses < 40; presses += 1) {
        await page.keyboard.press("Tab");
        if (await wanted.evaluate(node => node === document.activeElement)) return page.keyboard.press("Enter");
      }
      throw new Error(`${name} is not reached by the Tab key`);
    };
    await open();
    await expect(page.getByRole("button", { name: "Connect HubSpot" })).toBeEnabled();
    await press("Connect HubSpot");
    await expect(page).toHaveTitle(/Connect an app/);
    await press("Accept");
    await outcome(page, "connected");
    await press("Back to your CloudTalk dashboard", "link");
    await expect(page).toHaveTitle(/development dashboard/);
  });
