// A stored automation: checked, run, and shown beside what HubSpot received.

import { api, dev } from "./api.js";
import { onIntegrations } from "./connection.js";
import { EXAMPLES } from "./examples.js";
import { act, element, longText, options, pretty, report, terms, visible } from "./page.js";

const section = document.getElementById("automation");
const form = section.querySelector("form");
const results = section.querySelector(".results");
const progress = section.querySelector("progress");
const RUNS = 150;
let session;

/** The request in the editor; its text is sent as it is, so that numbers keep their digits. */
function written() {
  const text = form.elements.request.value;
  try {
    JSON.parse(text);
  } catch (error) {
    form.elements.request.focus();
    throw new Error(`The request is not JSON: ${error.message}. Correct it, or choose the stored automation again.`);
  }
  return text;
}

const member = (name, value) => value ? `${JSON.stringify(name)}:${JSON.stringify(value)},` : "";

function automation(text) {
  const { integration, key } = form.elements;
  return `{${member("account_id", session.account)}${member("integration_id", integration.value)}`
    + `${member("idempotency_key", key.value)}"automation_id":"dashboard","request":${text}}`;
}

function panel(title, ...content) {
  return element("div", {}, element("h3", {}, title), ...content);
}

function why(credential) {
  const [place] = credential.split(":");
  const where = { header: "in a header", query: "in the URL", form: "in the form", userinfo: "before the host" }[place] ?? "";
  return element("li", {}, `${credential}: a pasted credential ${where}. It is never sent; the account's OAuth authorization is used.`);
}

function ignored(answer) {
  const credentials = answer.ignored_credentials ?? [];
  if (answer.body_ignored) credentials.push("body: a GET carries none, so it is not sent");
  return panel("What was ignored, and why", credentials.length
    ? element("ul", {}, ...credentials.map(why))
    : element("p", {}, "Nothing."));
}

function deprecation({ since, successor, docs }) {
  const isPast = since <= new Date().toISOString().slice(0, 10);
  // A day, or a month.
  const end = `${isPast ? "Ended" : "Ends"} ${since.length > "2026-01".length ? "on" : "in"} ${since}; use ${successor}.`;
  return element("span", {}, `${visible(end)} `, element("a", { href: docs }, "HubSpot's announcement"));
}

function bodyOf(hubspot) {
  if (hubspot.body !== undefined) return pretty(hubspot.body);
  if (hubspot.body_text !== undefined) return hubspot.body_text;
  if (hubspot.body_base64 !== undefined) return `Binary, as base64:\n${hubspot.body_base64}`;
  return hubspot.body_omitted ? `Omitted: ${hubspot.body_omitted}` : "(empty)";
}

function answered({ status, body }) {
  const hubspot = body.hubspot;
  return panel("The answer",
    terms([
      ["Outcome", body.outcome], ["Retryable", body.retryable === undefined ? undefined : body.retryable ? "yes" : "no"],
      ["Retry after", body.retry_after_seconds && `${body.retry_after_seconds} s`],
      ["Status", hubspot ? `${hubspot.status} of HubSpot` : status], ["Code", body.code], ["What to do", body.detail],
      ["Missing scopes", body.missing_scopes?.join(", ")], ["Remedy", body.remedy],
      ["Attempts", body.attempts], ["Duration", body.duration_ms && `${body.duration_ms} ms`],
      ["Replayed", body.replayed && "yes, the stored answer of the same idempotency key"], ["Execution", body.execution_id],
    ]),
    ...(hubspot ? [element("h4", {}, "Its body"), longText(bodyOf(hubspot), "Body of HubSpot's answer")] : []));
}

function received(requests) {
  return panel("What HubSpot received, byte for byte", ...(requests.length
    ? requests.map((request, at) => longText(request, `Request ${at + 1} of ${requests.length} to HubSpot`))
    : [element("p", {}, "Nothing reached HubSpot.")]));
}

function show(...panels) {
  results.hidden = false;
  results.replaceChildren(...panels);
}

async function check() {
  const text = written();
  const { value } = form.elements.integration;
  const answer = await api("POST", "/v1/automation-checks", `{${member("integration_id", value)}"request":${text}}`);
  show(panel("What the customer wrote", longText(text, "The customer's request")), ignored(answer), panel("The check",
    terms([
      ["Would run", answer.would_run], ["Scopes", answer.verdict], ["Needs", answer.required_scopes?.join(", ")],
      ["Or one of", answer.any_of?.join(", ")], ["Granted", answer.granted_scopes?.join(", ")], ["Remedy", answer.remedy],
      ["Newest", answer.integration_is_newest ? "yes" : "no: an older integration runs nothing"],
      ["Did you mean", answer.did_you_mean],
      ["Deprecated", answer.deprecated && deprecation(answer.deprecated)],
      ["Developer key", answer.developer_key && "HubSpot accepts only an app's developer key here, which is never sent."],
      ["Sends", `${answer.method} ${answer.url}`], ["Documentation", answer.docs],
    ])));
  return "Checked. Nothing was sent.";
}

async function run() {
  const text = written();
  const answer = await dev("POST", "/dev/engine", automation(text));
  show(panel("What the customer wrote", longText(text, "The customer's request")), received(answer.requests),
    ignored(answer.body), answered(answer));
  return answer.body.hubspot ? `HubSpot answered ${answer.body.hubspot.status}.` : `Not executed: ${answer.body.title ?? answer.status}.`;
}

/** Many runs, eight at a time, counted by what came of them. */
async function burst() {
  const request = automation(written());
  const counts = {};
  let started = 0;
  let finished = 0;
  progress.hidden = false;
  const worker = async () => {
    while (started < RUNS) {
      started += 1;
      const { status, body } = await dev("POST", "/dev/engine?brief", request);
      const name = body.hubspot ? `HubSpot ${body.hubspot.status}` : `${status} ${body.code ?? ""}`;
      counts[name] = (counts[name] ?? 0) + 1;
      finished += 1;
      progress.value = finished;
      report(section, `${finished} of ${RUNS} runs`);
    }
  };
  try {
    await Promise.all(Array.from({ length: 8 }, worker));
  } finally {
    progress.hidden = true;
  }
  return `${RUNS} runs: ${Object.entries(counts).map(([name, count]) => `${count} × ${name.trim()}`).join(", ")}.`;
}

function choose() {
  const [, request, key] = EXAMPLES[form.elements.example.value];
  form.elements.request.value = pretty(request);
  form.elements.key.value = key?.() ?? "";
}

function integrationOptions(integrations) {
  options(form.elements.integration, [
    ["", "whichever is the newest"],
    ...integrations.map(({ integration_id }, at) => [integration_id, `${at ? "older" : "newest"}: ${integration_id}`]),
  ], form.elements.integration.value);
}

export function start(opened) {
  session = opened;
  options(form.elements.example, EXAMPLES.map(([title], at) => [String(at), title]), "0");
  form.elements.example.addEventListener("change", choose);
  form.addEventListener("submit", event => event.preventDefault());
  form.elements.check.addEventListener("click", () => act(section, "Checking…", check));
  form.elements.run.addEventListener("click", () => act(section, "Running…", run));
  form.elements.burst.addEventListener("click", () => act(section, "Running…", burst));
  integrationOptions([]);
  onIntegrations(integrationOptions);
  choose();
}
