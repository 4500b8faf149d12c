// Executes an automation request, as `automation-execute` does.
import { randomUUID } from 'node:crypto';
import { Client } from '@hubspot/api-client';
import { run } from './runtime.mjs';
import { newest, update } from './store.mjs';
import { EXECUTION, Unusable, basePath, seconds, usable } from './tokens.mjs';

const HOSTS = ['api.hubapi.com', 'api.hubspot.com'];
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];
const HEADERS = ['accept', 'accept-language', 'content-type', 'if-match', 'if-none-match', 'if-modified-since'];
const CREDENTIAL_HEADERS = ['authorization', 'cookie', 'private-app', 'private-app-legacy', 'hapikey', 'x-api-key'];
const CREDENTIAL_KEYS = ['hapikey', 'access_token', 'client_secret', 'refresh_token'];
const HANDED_ON = ['content-type', 'retry-after', 'etag', 'last-modified', 'location', 'content-disposition'];
const CONFLICTS = ['not_connected', 'integration_superseded', 'reauthorization_required'];

class Refused extends Error {}

function parse(event) {
  const body = event.isBase64Encoded ? Buffer.from(event.body, 'base64').toString('utf8') : event.body;
  const { account_id, integration_id, automation_id, request } = JSON.parse(body);
  if (typeof account_id !== 'string' || !METHODS.includes(request?.method)) throw new Refused('invalid_request');
  return { account_id, integration_id, automation_id, call: guard(request) };
}

/** The request without the credentials that stored automations carry. */
function guard({ method, endpoint, query = {}, headers = {}, body }) {
  const ignored = [];
  const url = new URL(endpoint, 'https://api.hubapi.com');
  if (!HOSTS.includes(url.hostname) || url.pathname.startsWith('/oauth/')) throw new Refused('endpoint_not_allowed');
  for (const [name, values] of Object.entries(query)) {
    for (const value of [values].flat()) url.searchParams.append(name, value);
  }
  for (const name of new Set(url.searchParams.keys())) {
    if (CREDENTIAL_KEYS.includes(name.toLowerCase())) {
      url.searchParams.delete(name);
      ignored.push(`query:${name.toLowerCase()}`);
    }
  }
  const kept = {};
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase();
    if (HEADERS.includes(lower)) kept[lower === 'accept' ? 'Accept' : lower] = String(value);
    else if (CREDENTIAL_HEADERS.includes(lower)) ignored.push(`header:${lower}`);
  }
  if (body !== undefined) kept['content-type'] ??= 'application/json';
  const sent = body === undefined ? undefined : JSON.stringify(body);
  return { method, path: url.pathname + url.search, headers: kept, body: sent, ignored };
}

function send(call, tokens) {
  const client = new Client({ accessToken: tokens.access_token, basePath });
  const { method, path, headers, body } = call;
  return client.apiRequest({ method, path, headers, body, defaultJson: false });
}

async function execute(request, id, began, deadline) {
  const { account_id, integration_id, call } = request;
  const record = await newest(account_id);
  if (!record) throw new Refused('not_connected');
  if (integration_id && integration_id !== record.integration_id) throw new Refused('integration_superseded');
  if (record.cooldown_until > seconds()) throw new Unusable('temporarily_unavailable');
  let { tokens } = await usable(record, EXECUTION, deadline);
  const now = seconds();
  const noted = record.last_used_at > now - 3600;
  let [response] = await Promise.all([send(call, tokens), noted || update(record, { set: { last_used_at: now } })]);
  let text = await response.text();
  let attempts = 1;
  if (response.status === 401 && text.includes('EXPIRED_AUTHENTICATION') && tokens.obtained_at < now - 900) {
    ({ tokens } = await usable(await newest(account_id), EXECUTION, deadline, record.secret_version));
    response = await send(call, tokens);
    text = await response.text();
    attempts = 2;
  }
  const headers = {};
  for (const [name, value] of response.headers) {
    if (HANDED_ON.includes(name) || name.startsWith('x-hubspot-')) headers[name] = value;
  }
  const { status } = response;
  const idempotent = !['POST', 'PATCH'].includes(call.method);
  return {
    execution_id: id,
    integration_id: record.integration_id,
    outcome: status >= 500 && !idempotent ? 'unknown' : 'answered',
    retryable: [423, 429, 477].includes(status) || (status >= 500 && idempotent),
    attempts,
    duration_ms: Date.now() - began,
    ignored_credentials: [...new Set(call.ignored)],
    hubspot: { status, headers, ...shown(headers['content-type'], text) },
  };
}

function shown(type = '', text) {
  if (text === '') return {};
  return /^application\/([\w.-]+\+)?json\b/.test(type) ? { body: JSON.parse(text) } : { body_text: text };
}

run(async (event, context) => {
  const id = randomUUID();
  const began = Date.now();
  let status = 200;
  let body;
  let request;
  try {
    request = parse(event);
    body = await execute(request, id, began, context.deadline - 1000);
  } catch (error) {
    const known = error instanceof Refused || error instanceof Unusable;
    const code = known ? error.message : 'internal';
    status = CONFLICTS.includes(code) ? 409 : error instanceof Unusable ? 503 : known ? 400 : 500;
    body = { type: `urn:hubspot-automations:${code}`, status, code, retryable: status === 503, execution_id: id };
    if (!known) console.error(error.name, error.message);
  }
  const { account_id, automation_id } = request ?? {};
  const { outcome, code, attempts, hubspot } = body;
  const line = { level: 'INFO', message: 'automation request', execution_id: id, account_id, automation_id };
  const result = { outcome, code, status, hubspot_status: hubspot?.status, attempts, duration_ms: Date.now() - began };
  console.log(JSON.stringify({ timestamp: new Date().toISOString(), ...line, ...result }));
  const type = status === 200 ? 'application/json' : 'application/problem+json';
  const headers = { 'content-type': type, 'cache-control': 'no-store' };
  return { statusCode: status, headers, body: JSON.stringify(body) };
});
