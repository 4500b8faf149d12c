// Uses the API through the types that openapi-typescript makes of infra/openapi.yaml. `client_test.py` runs it.
//
// Its arguments are the address of the API and an account. It reads a case as JSON from each line, and prints its end as JSON.

import { createInterface } from "node:readline";

import createClient from "openapi-fetch";

import type { components, paths } from "./generated/api.js";

type Case = {
  call: "list" | "check" | "execute";
  headers: Record<string, string>;
  endpoint?: string;
};
type Failure = components["schemas"]["ProblemOrMessage"] | components["schemas"]["ExecutionProblemOrMessage"];

const [, , baseUrl = "", account = ""] = process.argv;
const client = createClient<paths>({ baseUrl });

/** An error, as an engine reads it: a problem has a code, an answer of API Gateway a message. */
function failure(error: Failure): object {
  if (!("code" in error)) return { message: error.message };
  const { code, retryable, retry_after_seconds } = error;
  return { code, retryable, wait: retry_after_seconds, outcome: "outcome" in error ? error.outcome : undefined };
}

async function run({ call, headers, endpoint = "" }: Case): Promise<object> {
  const request = { method: "GET", endpoint };
  switch (call) {
    case "list": {
      const { data, error } = await client.GET("/v1/integrations", { headers });
      return data ? { integrations: data.integrations.map(({ status, runs_automations }) => [status, runs_automations]) } : failure(error);
    }
    case "check": {
      const { data, error } = await client.POST("/v1/automation-checks", { headers, body: { request } });
      return data ? { verdict: data.verdict, any_of: data.any_of, url: data.url, since: data.deprecated?.since } : failure(error);
    }
    case "execute": {
      const body = { account_id: account, request };
      const { data, error } = await client.POST("/v1/automation-requests", { headers, body });
      return data ? { outcome: data.outcome, retryable: data.retryable, status: data.hubspot.status } : failure(error);
    }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await run(JSON.parse(line) as Case)));
}
