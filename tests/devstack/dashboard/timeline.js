// What happened, newest first.

import { dev } from "./api.js";
import * as connection from "./connection.js";
import { element, longText, options, pretty, report, timeOf, visible } from "./page.js";

const section = document.getElementById("timeline");
const form = section.querySelector("form");
const items = section.querySelector("ol");
const KEPT = 400;
const PAUSE = 800;
let entries = [];
let cursor = "";
let session;

function item({ kind, at, account_id, text, detail, failed }) {
  const line = element("summary", {}, timeOf(at), " ", element("span", { class: "kind" }, `${kind}${account_id ? ` · ${account_id}` : ""}`),
    " ", element("span", { class: failed ? "bad" : undefined }, visible(text)));
  const details = element("details", {}, line);
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) {
      details.append(longText(typeof detail === "string" ? detail : pretty(detail), `Details: ${text}`));
    }
  });
  return element("li", {}, details);
}

function isShown(entry) {
  const { kind, account } = form.elements;
  return (!kind.value || entry.kind === kind.value) && (!account.value || !entry.account_id || entry.account_id === account.value);
}

function showAll() {
  items.replaceChildren(...entries.filter(isShown).map(item));
}

function add(fresh) {
  fresh.sort((one, other) => other.at - one.at);
  entries = [...fresh, ...entries].slice(0, KEPT);
  items.prepend(...fresh.filter(isShown).map(item));
  while (items.childElementCount > KEPT) items.lastElementChild.remove();
}

async function follow() {
  for (;;) {
    try {
      const news = await dev("GET", `/dev/timeline?after=${cursor}`);
      cursor = news.cursor;
      if (news.entries.length) add(news.entries);
      connection.follow(news.entries.some(({ kind, account_id }) => kind === "event" && account_id === session.account));
      if (section.querySelector(".status.bad")) report(section, "");
    } catch (error) {
      report(section, error.message, "bad");
    }
    await new Promise(resolve => { setTimeout(resolve, document.hidden ? 5 * PAUSE : PAUSE); });
  }
}

export function start(opened) {
  session = opened;
  options(form.elements.account, [["", "all accounts"], ...session.accounts.map(account => [account, account])], session.account);
  form.addEventListener("change", showAll);
  form.addEventListener("submit", event => event.preventDefault());
  follow();
}
