// Connecting HubSpot, as the admin of an account does it in a browser.

import { callBack, connect, consent, expect, integrations, onCallback, outcome, pull, scenario, status } from "./support.js";

const begin = (page, name = "Connect HubSpot") => page.getByRole("button", { name }).click();

/** How often HubSpot exchanged a code since the scenario began. */
async function exchanges({ journal }) {
  return (await journal()).filter(({ text, detail }) => /\/token$/.test(text) && detail.includes("authorization_code")).length;
}

/** HubSpot's journal as it is where a code is exchanged by every callback. */
const EXCHANGED_TWICE = { journal: requests => [...requests, ...requests] };

scenario("an admin connects HubSpot and sees the connection", { url: /v1\/integrations$/, json: () => ({ integrations: [] }) },
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

scenario("reconnecting with another portal is refused", [
  { url: /connection\.js/, from: "begin({ integration_id: id })", to: "begin({ new_instance: true })" },
  { callback: "/different-portal", to: "/reconnected" },
],
  async world => {
    const { page, open } = world;
    await connect(world);
    await begin(page, "Reconnect");
    await consent(page, { portal: "44110022" });
    await outcome(page, "different-portal");
    await open();
    await expect(integrations(page)).toContainText("44110011");
  });

scenario("a further instance is asked about and stops the older one", [
  { url: /connection\.js/, from: "await ask(\"Connect another", to: "await Promise.resolve(\"" },
  { url: /v1\/integrations$/, json: ({ integrations }) => ({ integrations: integrations.reverse() }) },
],
  async world => {
    const { page, open, audit } = world;
    await connect(world);
    const older = await integrations(page).locator("dd").first().textContent();
    await begin(page, "Connect another instance");
    await expect(page.getByRole("dialog", { name: "Connect another instance?" })).toContainText("stop");
    await audit("dialog");
    await page.getByRole("dialog").getByRole("button", { name: "Connect another instance" }).click();
    await consent(page, { portal: "44110022" });
    await outcome(page, "connected");
    await open();
    await expect(integrations(page)).toHaveCount(2);
    await expect(integrations(page).first()).toContainText("Newest integration");
    await expect(integrations(page).last()).toContainText(older);
    await expect(integrations(page).last()).toContainText("Its automations do not run: only the newest integration runs automations.");
    await audit("dashboard-two");
  });

scenario("two tabs that connect at once end with one integration", [
  { callback: "/already-connected", to: "/connected" },
  { url: /v1\/integrations$/, json: ({ integrations }) => ({ integrations: integrations.flatMap(one => [one, one]) }) },
],
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
    await outcome(stranger, "other-browser\\?reason=no-cookie");
    await consent(page);
    await outcome(page, "connected");
  });

scenario("an unknown or old state ends as expired", { url: /oauth\/hubspot\/callback/, from: "/expired", to: "/failed" },
  async ({ page, stack }) => {
    await page.goto(`${stack.api}/oauth/hubspot/callback?code=abc&state=${"A".repeat(43)}`);
    await outcome(page, "expired");
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  });

scenario("going back and accepting again connects nothing twice", [true, EXCHANGED_TWICE],
  async world => {
    const { page, context, open, broken } = world;
    await open();
    await begin(page);
    await consent(page);
    await outcome(page, "connected");
    if (broken) await context.clearCookies();
    await page.goBack();
    await consent(page);
    await outcome(page, "connected");
    expect(await exchanges(world)).toBe(1);
    await open();
    await expect(integrations(page)).toHaveCount(1);
  });

scenario("reloading the callback and the result changes nothing", [true, EXCHANGED_TWICE],
  async world => {
    const { page, context, open, broken } = world;
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
    expect(await exchanges(world)).toBe(1);
  });

/** Calls the callback before the page does, `times` times at once, as link scanners and impatient people do. */
async function callFirst({ context, broken }, headers, times) {
  const answers = [];
  await onCallback(context, async callback => {
    answers.push(...await Promise.all(Array.from({ length: times }, () => callBack(context, callback, headers))));
    // What it would mean for the page if a used state were forgotten.
    return broken ? callback.replace(/state=[^&]+/, `state=${"A".repeat(43)}`) : callback;
  });
  return answers;
}

for (const [title, headers, times, expected] of [
  ["a doubled callback is exchanged once", {}, 3, { status: 303, location: expect.stringMatching(/\/connected$/) }],
  ["a prefetched callback does not spoil the connection", { "sec-purpose": "prefetch", purpose: "prefetch" }, 1, { status: 425 }],
]) {
  scenario(title, [true, EXCHANGED_TWICE], async world => {
    const { page, open } = world;
    const early = await callFirst(world, headers, times);
    await open();
    await begin(page);
    await consent(page);
    await outcome(page, "connected");
    expect(early).toEqual(Array(times).fill(expected));
    expect(await exchanges(world)).toBe(1);
    await open();
    await expect(integrations(page)).toHaveCount(1);
  });
}

scenario("an installation from the marketplace with sign-in connects the account", { url: /v1\/authorizations/, from: "&state=", to: "&other=" },
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
    await audit("installed");
    expect(new URL(page.url()).origin).toBe(stack.hubspot);
    await open();
    await expect(integrations(page)).toHaveCount(1);
  });

scenario("an installation goes on with the account that is switched to", { url: /dashboard\.js/, from: "disabled: !returnUrl", to: "disabled: true" },
  async ({ page, open }) => {
    await open();
    await pull(page, "install", { "Partner sign-in": "first" });
    await expect(page.getByRole("button", { name: "Continue the installation" })).toBeVisible();
    const returnUrl = new URL(page.url()).searchParams.get("return_url");
    await page.locator("#session").getByLabel("Account").selectOption("acc_second");
    await page.getByRole("button", { name: "Switch" }).click();
    await expect(page).toHaveURL(/account=acc_second/);
    expect(new URL(page.url()).searchParams.get("return_url")).toBe(returnUrl);
    await begin(page, "Continue the installation");
    await expect(page).toHaveTitle(/Connect an app/);
  });

scenario("the way back to the dashboard keeps the account and the role", { url: /api\.js/, from: "sessionStorage.getItem(name)", to: "\"\"" },
  async world => {
    const { page, stack, account, open } = world;
    const chosen = name => page.locator("#session").getByLabel(name);
    await open();
    await begin(page);
    await consent(page);
    await outcome(page, "connected");
    await page.getByRole("link", { name: "Back to your CloudTalk dashboard" }).click();
    await expect(integrations(page)).toHaveCount(1);
    await expect(chosen("Account")).toHaveValue(account);
    await open("member");
    await expect(chosen("Role")).toHaveValue("member");
    await page.goto(`${stack.dashboard}/`);
    await expect(page.locator("main")).not.toHaveAttribute("aria-busy");
    await expect(chosen("Role")).toHaveValue("member");
    await expect(chosen("Account")).toHaveValue(account);
  });

scenario("an installation without sign-in is finished from the dashboard", { callback: "start-from-dashboard", to: "connected" },
  async ({ page, open }) => {
    await open();
    await pull(page, "install", { "Partner sign-in": "none" });
    await consent(page);
    await expect(page.getByText("Connect HubSpot here to finish it.")).toBeVisible();
    await open();
    await expect(integrations(page)).toHaveCount(0);
  });

scenario("connecting works where third-party cookies are blocked", true,
  async ({ page, context, open, broken }) => {
    const session = await context.newCDPSession(page);
    await session.send("Network.enable");
    await session.send("Network.setCookieControls", { enableThirdPartyCookieRestriction: true });
    await open();
    await begin(page);
    await expect(page).toHaveTitle(/Connect an app/);
    // What a browser does with the cookie where it is a third party's.
    if (broken) await context.clearCookies();
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
