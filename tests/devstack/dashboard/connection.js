// The account's integrations: connect, reconnect, disconnect.

import { api } from "./api.js";
import { act, ask, button, dateOf, element, report, terms } from "./page.js";

const section = document.getElementById("connection");
const listeners = [];
let session;
const again = button("Try again", async () => {
  await readFirst();
  if (!again.isConnected) focusTitle();
});
let reads = 0;
let shown = { read: 0 };
let isOutdated = false;

/** Calls `listener` with the account's integrations, newest first, whenever they have been read. */
export const onIntegrations = listener => listeners.push(listener);

const REASONS = {
  revoked: "HubSpot refused the refresh token: the app was uninstalled or its access revoked.",
  superseded: "It was replaced by a newer integration more than 30 days ago, so its tokens were deleted.",
  refresh_interrupted: "A refresh was interrupted and HubSpot no longer accepts the tokens.",
  refused: "HubSpot has refused to refresh it for a day.",
};

const begin = body => act(section, "Starting the authorization…", async () => {
  const { authorize_url } = await api("POST", "/v1/authorizations", body);
  window.location.assign(authorize_url);
  return "Opening HubSpot…";
});

async function another() {
  const text = "The new integration becomes the newest. Automations that belong to the present one stop, until they are moved to the "
    + "new one or the new one is disconnected.";
  if (await ask("Connect another instance?", text, "Connect another instance")) await begin({ new_instance: true });
}

async function disconnect(integration, isNewest) {
  const text = (isNewest
    ? "Its automations stop. If there is an older integration, that one becomes the newest and its automations run again. "
    : "It runs no automations now. ")
    + "Its tokens are deleted. To remove the app in HubSpot too, uninstall it there under Connected apps.";
  if (!await ask("Disconnect this integration?", text, "Disconnect")) return;
  await act(section, "Disconnecting…", async () => {
    await api("DELETE", `/v1/integrations/${encodeURIComponent(integration.integration_id)}`);
    return await list("Disconnected.");
  });
  focusTitle();
}

/** Where the focus goes from a control that has gone. */
function focusTitle() {
  const title = section.querySelector("h2");
  title.setAttribute("tabindex", "-1");
  title.focus();
}

function card(integration, position) {
  const isNewest = position === 0;
  const broken = integration.status !== "active";
  const admin = session.role === "admin";
  const id = integration.integration_id;
  const reason = integration.status_reason;
  return element("li", {},
    element("h3", {}, isNewest ? "Newest integration" : "Older integration"),
    element("p", { class: isNewest && !broken ? "good" : "bad" },
      !isNewest ? "Its automations do not run: only the newest integration runs automations."
        : broken ? "It needs attention: reconnect it, and its automations go on." : "It runs the account's automations."),
    terms([
      ["Id", id],
      ["Portal", integration.hub_id],
      ["Status", integration.status.replaceAll("_", " ")],
      ["Reason", reason && (REASONS[reason] ?? reason)],
      ["Since", dateOf(integration.status_since)],
      ["Connected", [dateOf(integration.created_at), integration.connected_by && `by ${integration.connected_by}`].filter(Boolean).join(" ")],
      ["Scopes", integration.scopes.join(", ")],
      ["Next refresh", dateOf(integration.refresh_at)],
    ]),
    element("div", { class: "buttons" },
      isNewest ? button("Reconnect", () => begin({ integration_id: id }), { class: broken ? "main" : undefined, disabled: !admin }) : null,
      button("Disconnect", () => disconnect(integration, isNewest),
        { class: "danger", disabled: !admin, "aria-label": `Disconnect the ${isNewest ? "newest" : "older"} integration ${id}` })));
}

function show(integrations) {
  const admin = session.role === "admin";
  const name = control => control.getAttribute("aria-label") ?? control.textContent;
  const focused = section.contains(document.activeElement) ? name(document.activeElement) : undefined;
  section.querySelector(":scope > .buttons").replaceChildren(integrations.length
    ? button("Connect another instance", another, { disabled: !admin })
    : button("Connect HubSpot", () => begin({}), { class: "main", disabled: !admin }));
  section.querySelector(".cards").replaceChildren(...integrations.map(card));
  if (!section.contains(document.activeElement)) [...section.querySelectorAll("button")].find(control => name(control) === focused)?.focus();
  listeners.forEach(listener => listener(integrations));
}

/** Reads the integrations and shows them where they have changed; `done` is what to report then. */
export async function list(done) {
  reads += 1;
  const read = reads;
  const { integrations } = await api("GET", "/v1/integrations").catch(error => {
    section.querySelector(":scope > .buttons").append(again);
    throw error;
  });
  if (again.isConnected) {
    again.remove();
    report(section, "");
  }
  const text = JSON.stringify(integrations);
  // An answer that a later one overtook says less than what is shown.
  if (read < shown.read) return done;
  if (text !== shown.text) show(integrations);
  shown = { read, text };
  return done;
}

/** Lists again after events, but not under an action or a question, whose controls would go. */
export async function follow(hasEvents) {
  isOutdated ||= hasEvents;
  if (!isOutdated || section.matches("[aria-busy]") || document.querySelector("dialog[open]")) return;
  isOutdated = false;
  try {
    await list();
  } catch (error) {
    report(section, error.message, "bad");
  }
}

const readFirst = () => act(section, "Reading the integrations…", async () => {
  await list();
  if (session.role !== "admin") return report(section, "Only admins connect and disconnect. Switch to the role admin to do so.");
  const outcome = new URLSearchParams(window.location.search).get("hubspot");
  return outcome ? `HubSpot: ${outcome}` : "";
});

export async function start(opened) {
  session = opened;
  const returnUrl = new URLSearchParams(window.location.search).get("return_url");
  if (returnUrl) {
    const installation = document.getElementById("installation");
    installation.hidden = false;
    installation.querySelector("button").addEventListener("click", () => begin({ return_url: returnUrl }));
  }
  await readFirst();
}
