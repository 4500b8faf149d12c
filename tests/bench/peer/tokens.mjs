// Usable tokens of an integration. The rule of a refresh is ours: a lease by a conditional write, a new version of the
// secret, and a commit that is fenced by the version which was read.
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from '@hubspot/api-client';
import { newest, putSecret, secret, update } from './store.mjs';

export const basePath = (process.env.HUBSPOT_API_URL ?? 'https://api.hubapi.com').replace(/\/$/, '');
const OAUTH_VERSION = process.env.HUBSPOT_OAUTH_VERSION ?? '2026-03';
const LEASE_SECONDS = Number(process.env.REFRESH_LEASE_SECONDS ?? 20);
const IDLE_AFTER = Number(process.env.IDLE_AFTER_HOURS ?? 24) * 3600;
const IDLE_PROBE = Number(process.env.IDLE_PROBE_HOURS ?? 2) * 3600;
const SKEW = 5;
const CACHED = 512;

export const EXECUTION = { longest: 60, part: 1 / 4 };
export const SCHEDULE = { longest: 600, part: 1 / 2 };

const cache = new Map();
let credentials;

// The client's own path is that of the undated API.
const dated = {
  pre: (context) => (context.setUrl(context.getUrl().replace('/oauth/v1/', `/oauth/${OAUTH_VERSION}/`)), context),
};
const hubspot = new Client({ basePath, middleware: [dated] });

export const seconds = () => Math.floor(Date.now() / 1000);
const jittered = (whole) => Math.floor(whole - (Math.random() * whole) / 4);

export class Unusable extends Error {}

function remember(record, tokens) {
  if (cache.size >= CACHED) cache.clear();
  cache.set(`${record.secret_id} ${record.secret_version}`, tokens);
}

/** The tokens that the record points at, from memory or from Secrets Manager. */
async function pointedAt(record) {
  const known = cache.get(`${record.secret_id} ${record.secret_version}`);
  if (known) return known;
  const { value } = await secret(record.secret_id, record.secret_version);
  check(record, value);
  remember(record, value);
  return value;
}

function check(record, tokens) {
  if (tokens.account_id !== record.account_id || tokens.integration_id !== record.integration_id) {
    throw new Error('the secret belongs to another integration');
  }
}

function isGood(record, tokens, margin) {
  const lifetime = tokens.expires_at - tokens.obtained_at;
  return record.token_expires_at - seconds() > Math.min(margin.longest, lifetime * margin.part);
}

/**
 * Tokens that are good beyond the margin, and whether this call has refreshed them. A version that HubSpot has just
 * rejected is not good whatever its expiry.
 */
export async function usable(record, margin, deadline, rejected) {
  for (let wait = 40; ; wait = Math.min(wait * 2, 800)) {
    if (record.status !== 'active' && margin === EXECUTION) throw new Unusable('reauthorization_required');
    const alive = record.token_expires_at > seconds() && record.secret_version !== rejected;
    // The schedule asks for what has to be refreshed most likely: what it would read is read under the lease anyway.
    if (alive && margin === EXECUTION) {
      const tokens = await pointedAt(record);
      if (isGood(record, tokens, margin)) return { tokens, refreshed: false };
    }
    if (record.refresh_not_before > seconds()) throw new Unusable('temporarily_unavailable');
    const owner = randomUUID();
    const leased = await takeLease(record, owner);
    if (leased) return refresh(leased, owner, margin, rejected);
    if (alive) return { tokens: await pointedAt(record), refreshed: false };
    if (margin === SCHEDULE || Date.now() + wait >= deadline) throw new Unusable('temporarily_unavailable');
    await pause(wait);
    const now = await newest(record.account_id);
    if (now?.integration_id !== record.integration_id) throw new Unusable('temporarily_unavailable');
    record = now;
  }
}

function takeLease(record, owner) {
  const now = seconds();
  return update(record, {
    set: { lease_owner: owner, lease_until: now + LEASE_SECONDS },
    condition: 'attribute_not_exists(lease_owner) OR lease_until < :lapsed',
    values: { ':lapsed': now - SKEW },
  });
}

/** The work under the lease, which ends with it whatever happens. */
async function refresh(leased, owner, margin, rejected) {
  try {
    const current = await secret(leased.secret_id);
    check(leased, current.value);
    const replaces = [leased.secret_version];
    if (current.version !== leased.secret_version) {
      // Somebody died between the two writes.
      if (!current.value.replaces?.includes(leased.secret_version)) {
        current.value = await pointedAt(leased);
      } else {
        replaces.push(current.version);
      }
    } else if (current.version !== rejected && isGood(leased, current.value, margin)) {
      await release(leased, owner, {});
      return { tokens: current.value, refreshed: false };
    }
    const tokens = await ask(leased, current.value, replaces);
    const version = randomUUID();
    await putSecret(leased.secret_id, version, tokens);
    const record = await commit(leased, version, tokens, margin);
    if (!record) throw new Unusable('temporarily_unavailable');
    remember(record, tokens);
    return { tokens, refreshed: true };
  } catch (error) {
    await release(leased, owner, error);
    throw error;
  }
}

/** Buys new tokens by HubSpot's own client. */
async function ask(leased, { refresh_token, scopes, hub_id }, replaces) {
  credentials ??= (await secret(`${process.env.SECRET_PREFIX}/app`)).value;
  const { client_id, client_secret } = credentials;
  const obtained_at = seconds();
  const app = [client_id, client_secret];
  const granted = await hubspot.oauth.tokensApi.create('refresh_token', undefined, undefined, ...app, refresh_token);
  return {
    account_id: leased.account_id,
    integration_id: leased.integration_id,
    access_token: granted.accessToken,
    refresh_token: granted.refreshToken ?? refresh_token,
    token_type: 'bearer',
    obtained_at,
    expires_at: obtained_at + granted.expiresIn,
    scopes,
    hub_id,
    replaces,
  };
}

/** Points the record at the new version, provided that it still points at the one that was read. */
function commit(leased, version, tokens, margin) {
  const now = seconds();
  const idle = margin === SCHEDULE && (leased.last_used_at ?? leased.created_at) <= now - IDLE_AFTER;
  const early = Math.min(600, (tokens.expires_at - tokens.obtained_at) / 2) / 2;
  return update(leased, {
    equal: { secret_id: leased.secret_id, secret_version: leased.secret_version },
    set: {
      secret_version: version,
      token_expires_at: tokens.expires_at,
      status: 'active',
      event: 'IntegrationRecovered',
      refresh_at: idle ? now + jittered(IDLE_PROBE) : Math.floor(tokens.expires_at - early - Math.random() * early),
    },
    remove: [
      ...['superseded_at', 'failures', 'refresh_not_before', 'status_reason', 'ambiguous_until'],
      ...['lease_owner', 'lease_until'],
    ],
  });
}

/** Ends the lease without new tokens, and notes what HubSpot has said. */
function release(leased, owner, error) {
  const end = { equal: { lease_owner: owner }, set: {}, remove: ['lease_owner', 'lease_until'] };
  const now = seconds();
  const body = typeof error.body === 'string' ? error.body : JSON.stringify(error.body ?? '');
  if (error.code === 400 && /invalid_grant|BAD_REFRESH_TOKEN/.test(body)) {
    end.equal.secret_version = leased.secret_version;
    end.set = { status: 'needs_reauthorization', status_reason: 'revoked', event: 'IntegrationNeedsReauthorization' };
    end.set.refresh_at = now + 3600;
  } else if (error instanceof Error) {
    const failures = leased.failures ?? 0;
    const until = now + Math.min(5 * 2 ** failures, 300);
    end.set = { refresh_not_before: until, failures: failures + 1, refresh_at: until };
  }
  return update(leased, end);
}
