// The development dashboard: an account and a role, and the four sections of the page.

import { open } from "./api.js";
import * as automation from "./automation.js";
import * as connection from "./connection.js";
import * as levers from "./levers.js";
import { options, report } from "./page.js";
import * as timeline from "./timeline.js";

try {
  const session = await open();
  const form = document.getElementById("session");
  options(form.elements.account, session.accounts.map(account => [account, account]), session.account);
  options(form.elements.role, session.roles.map(role => [role, role]), session.role);
  // An installation that HubSpot started goes on with the account that is chosen here.
  const returnUrl = new URLSearchParams(location.search).get("return_url");
  Object.assign(form.elements.return_url, { value: returnUrl ?? "", disabled: !returnUrl });
  automation.start(session);
  timeline.start(session);
  await Promise.all([connection.start(session), levers.start(session)]);
  if (new URLSearchParams(location.search).get("hubspot") === "start-from-dashboard") {
    report(document.getElementById("connection"), "The installation began at HubSpot. Connect HubSpot here to finish it.", "bad");
  }
} catch (error) {
  report(document.getElementById("connection"), error.message, "bad");
} finally {
  document.querySelector("main").removeAttribute("aria-busy");
}
