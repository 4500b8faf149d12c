// The scheduled refresh, as `token-refresh` does it.
import { run } from './runtime.mjs';
import { due, newest, update } from './store.mjs';
import { SCHEDULE, seconds, usable } from './tokens.mjs';

const SHARDS = 16;
const CONCURRENCY = Number(process.env.REFRESH_CONCURRENCY ?? 32);
const IDLE_PROBE = Number(process.env.IDLE_PROBE_HOURS ?? 2) * 3600;
const AT_MOST = 8_000;
const STOP_BEFORE_DEADLINE = 14_000;

/** Does `work` on all items, so many at once. */
async function each(items, atOnce, work) {
  const queue = items.values();
  const worker = async () => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
}

async function find(shards) {
  const found = [];
  await each(shards, 4, async (shard) => {
    const now = seconds();
    let next;
    let left = AT_MOST / shards.length;
    do {
      const page = await due(shard, now, next);
      found.push(...page.items.slice(0, left));
      left -= page.items.length;
      next = page.next;
    } while (next && left > 0);
  });
  return found.sort((a, b) => a.refresh_at - b.refresh_at);
}

/** Works on one due record; whether it was refreshed. */
async function work(item, deadline) {
  // The newest is read first, so that an older instance is never refreshed.
  const record = await newest(item.account_id);
  if (!record || (record.sequence === item.sequence && record.refresh_at !== item.refresh_at)) return false;
  if (record.sequence !== item.sequence) {
    // Only the index's keys are known of the older one: the condition is that it is still due.
    await update(item, { equal: { refresh_at: item.refresh_at }, set: { refresh_at: seconds() + IDLE_PROBE } });
    return false;
  }
  return (await usable(record, SCHEDULE, deadline)).refreshed;
}

run(async (event, context) => {
  const began = Date.now();
  const stopAt = context.deadline - STOP_BEFORE_DEADLINE;
  const shards = event['detail-type'] ? undefined : event.shards;
  const found = await find([...new Set(shards ?? Array.from({ length: SHARDS }, (_, shard) => shard))]);
  let refreshed = 0;
  let failed = 0;
  await each(found, CONCURRENCY, async (item) => {
    if (Date.now() >= stopAt) return;
    try {
      if (await work(item, stopAt)) refreshed += 1;
    } catch (error) {
      failed += 1;
      const cause = `${error.name} ${error.code ?? ''}`;
      console.error(JSON.stringify({ level: 'WARN', account_id: item.account_id, cause }));
    }
  });
  const report = { due: found.length, refreshed };
  const duration_ms = Date.now() - began;
  console.log(JSON.stringify({ level: 'INFO', message: 'scheduled refresh', ...report, failed, duration_ms }));
  return report;
});
