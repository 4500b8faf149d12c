// The emulator's levers, as the development API lists them.

import { dev } from "./api.js";
import { act, button, element, options, report } from "./page.js";
import { list } from "./connection.js";

const section = document.getElementById("levers");
let session;

function pull(name, form) {
  return act(section, "Pulling the lever…", async () => {
    const parameters = Object.fromEntries(form ? new FormData(form) : []);
    const pulled = await dev("POST", `/dev/levers/${name}`, { account: session.account, ...parameters });
    showActive(pulled.active);
    if (pulled.open) {
      window.location.assign(pulled.open);
      return "Opening HubSpot…";
    }
    await list();
    return pulled.done;
  });
}

function showActive(active) {
  section.querySelector(".active").replaceChildren(...active.map(text => element("li", {}, text)));
}

function card({ name, title, explanation, parameters }) {
  const controls = parameters.map(({ name, label, choices }) => {
    const select = element("select", { name });
    options(select, choices.map(([value, label]) => [value, label]));
    return element("label", {}, label, select);
  });
  const form = element("form", { onsubmit: event => { event.preventDefault(); pull(name, form); } },
    ...controls, element("button", { "data-lever": name }, title));
  return element("li", {}, element("p", {}, explanation), form);
}

export async function start(opened) {
  session = opened;
  try {
    const { levers, active } = await dev("GET", "/dev/levers");
    section.querySelector(".cards").replaceChildren(...levers.map(card));
    showActive(active);
  } catch (error) {
    report(section, error.message, "bad");
  }
}
