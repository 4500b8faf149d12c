// Sends an automation request as a workflow engine does: sample for Node.js 20 or newer, without dependencies.
//
// API_URL=… AWS_REGION=… AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… AWS_SESSION_TOKEN=… node engine.mjs KEY < request.json
import { createHash, createHmac } from "node:crypto";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";

const TIMEOUT = 35_000; // milliseconds; API Gateway answers within 30 s
const TRIES = Number(process.env.TRIES ?? 10);
const LAST_TRY = 20 * 3_600_000; // milliseconds; after 24 hours an idempotency key counts as new

/** Headers with AWS Signature Version 4; the package @smithy/signature-v4 does the same. */
function signed(url, body) {
  const { AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = process.env;
  const sha256 = data => createHash("sha256").update(data).digest("hex");
  const { host, pathname } = new URL(url);
  const date = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const headers = { host, "x-amz-date": date };
  if (AWS_SESSION_TOKEN) headers["x-amz-security-token"] = AWS_SESSION_TOKEN;
  const names = Object.keys(headers).join(";");
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`).join("");
  const scope = `${date.slice(0, 8)}/${AWS_REGION}/execute-api/aws4_request`;
  const hash = sha256(`POST\n${pathname}\n\n${lines}\n${names}\n${sha256(body)}`);
  const parts = [...scope.split("/"), `AWS4-HMAC-SHA256\n${date}\n${scope}\n${hash}`];
  const signature = parts.reduce((key, part) => createHmac("sha256", key).update(part).digest(), `AWS4${AWS_SECRET_ACCESS_KEY}`);
  const credential = `Credential=${AWS_ACCESS_KEY_ID}/${scope}, SignedHeaders=${names}, Signature=${signature.toString("hex")}`;
  return { ...headers, authorization: `AWS4-HMAC-SHA256 ${credential}`, "content-type": "application/json" };
}

/** Status and answer; status 0 without one. */
async function send(url, body) {
  try {
    const signal = AbortSignal.timeout(TIMEOUT);
    const response = await fetch(url, { method: "POST", headers: signed(url, body), body, signal });
    const answer = await response.text();
    try { return { status: response.status, answer: JSON.parse(answer) ?? {} }; } catch { return { status: response.status, answer: {} }; }
  } catch { return { status: 0, answer: {} }; }
}

/** The end and the last answer: answered (see `hubspot`), failed (not sent) or look (a person looks in HubSpot first). */
export async function execute(request, key) {
  // Into the text: parsed and written again, numbers could change.
  const body = `{"idempotency_key":${JSON.stringify(key)},${request.trim().slice(1)}`;
  const start = Date.now();
  for (let nth = 0, mayHaveActed = false; ; nth++) {
    const { status, answer } = await send(`${process.env.API_URL}/v1/automation-requests`, body);
    const refused = status >= 400 && status < 500 && answer.message !== undefined; // by API Gateway
    const { outcome = refused ? "not_sent" : "unknown", retryable = !refused || status === 429 } = answer;
    mayHaveActed ||= !["answered", "not_sent"].includes(outcome);
    const wait = 1000 * (answer.retry_after_seconds ?? (0.5 + Math.random() / 2) * Math.min(0.5 * 2 ** nth, 60));
    console.error(status, answer.code ?? "-", outcome);
    if (!retryable || nth + 1 >= TRIES || Date.now() + wait > start + LAST_TRY) {
      return [outcome === "answered" ? "answered" : mayHaveActed ? "look" : "failed", answer];
    }
    await sleep(wait);
  }
}

console.log(JSON.stringify(await execute(await text(process.stdin), process.argv[2])));
