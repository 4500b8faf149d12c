// Building blocks of the page. Everything is set as text: nothing that an answer contains becomes HTML.

/** An element with attributes (`class`, `onclick`, …) and children (elements and texts). */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value !== undefined) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter(child => child !== undefined && child !== null));
  return made;
}

export const button = (label, onclick, attributes = {}) => element("button", { type: "button", onclick, ...attributes }, label);

/** Text with its invisible and direction-changing characters made visible, so that it cannot pose as other text. */
export function visible(text) {
  return String(text).replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    character => character === "\r" ? "" : `\\u{${character.codePointAt(0).toString(16)}}`);
}

/** Text in a box, its beginning first and the rest at the press of a button. */
export function longText(text, label, shown = 2000) {
  const whole = visible(text);
  const box = element("pre", { tabindex: "0", role: "group", "aria-label": label }, whole.slice(0, shown));
  if (whole.length <= shown) return box;
  const more = button(`Show all ${whole.length.toLocaleString("en")} characters`, () => {
    box.textContent = whole;
    more.remove();
    box.focus();
  });
  return element("div", {}, box, element("div", { class: "buttons" }, more));
}

export const pretty = value => JSON.stringify(value, null, 2);

/** A list of terms; an entry without a value, or whose value is false, is left out. */
export function terms(entries) {
  const known = entries.filter(([, value]) => value !== undefined && value !== null && value !== false && value !== "");
  return element("dl", {}, ...known.flatMap(([term, value]) => [
    element("dt", {}, term),
    element("dd", {}, value instanceof Node ? value : visible(value)),
  ]));
}

export function options(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, label]) => element("option", { value, selected: value === chosen }, visible(label))));
}

/** Shows what came of an action in the section that it belongs to. */
export function report(section, text, kind = "") {
  const status = section.querySelector(".status");
  status.className = `status ${kind}`;
  status.textContent = visible(text);
}

/** Runs an action: its controls wait, the seconds are counted, and a failure is reported as a sentence. */
export async function act(section, doing, action) {
  const controls = [...section.querySelectorAll("button:not(:disabled)")];
  const from = performance.now();
  const show = () => report(section, `${doing} ${Math.round((performance.now() - from) / 1000)} s`);
  const focused = document.activeElement;
  controls.forEach(control => { control.disabled = true; });
  section.setAttribute("aria-busy", "true");
  report(section, doing);
  const counting = setInterval(show, 1000);
  try {
    const done = await action();
    if (typeof done === "string") report(section, done, "good");
  } catch (error) {
    report(section, error.message, "bad");
  } finally {
    clearInterval(counting);
    section.removeAttribute("aria-busy");
    controls.forEach(control => { control.disabled = false; });
    if (document.activeElement === document.body && focused?.isConnected) focused.focus();
  }
}

/** Asks before something is done that cannot be undone. */
export function ask(title, text, yes) {
  const dialog = document.querySelector("dialog");
  dialog.querySelector("h2").textContent = title;
  dialog.querySelector("p").textContent = text;
  dialog.querySelector("[value=yes]").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise(resolve => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const date = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

export const timeOf = millis => element("time", { datetime: new Date(millis).toISOString() }, clock.format(millis));
export const dateOf = seconds => seconds ? date.format(seconds * 1000) : undefined;
