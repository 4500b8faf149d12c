// Calls: the product's public API with the dashboard's token, and the development API of `make run`.

let session;

/** Gets a token for the account and role in the page's address, or else for those that this tab had before. */
export async function open() {
  const parameters = new URLSearchParams(window.location.search);
  const chosen = ["account", "role"].map(name => [name, parameters.get(name) || sessionStorage.getItem(name) || ""]);
  session = await dev("GET", `/dev/session?${new URLSearchParams(chosen)}`);
  chosen.forEach(([name]) => sessionStorage.setItem(name, session[name]));
  return session;
}

async function request(url, options, who) {
  try {
    return await fetch(url, options);
  } catch {
    throw new Error(`${who} does not answer. Is "make run" still running? Start it again, then reload this page.`);
  }
}

async function read(response) {
  const text = await response.text();
  try {
    return text ? JSON.parse(text) : {};
  } catch {
    return { detail: `The answer is not JSON (status ${response.status}).` };
  }
}

/** A call of the product's public API, as a customer's dashboard makes it. */
export async function api(method, path, body) {
  const response = await request(session.api + path, {
    method,
    credentials: "include",
    headers: { authorization: `Bearer ${session.token}`, ...(body && { "content-type": "application/json" }) },
    body: body && (typeof body === "string" ? body : JSON.stringify(body)),
  }, `The API (${session.api})`);
  const answer = await read(response);
  if (response.status === 401) {
    throw new Error("The API no longer accepts this dashboard's token, which is good for a day. Reload this page to get another.");
  }
  if (!response.ok) {
    const wait = answer.retryable ? ` Try again${answer.retry_after_seconds ? ` in ${answer.retry_after_seconds} s` : ""}.` : "";
    throw new Error(`${answer.detail ?? answer.message ?? `The API answered ${response.status}.`} (${answer.code ?? response.status})${wait}`);
  }
  return answer;
}

/** A call of the development API. */
export async function dev(method, path, body) {
  const response = await request(path, { method, body: body && (typeof body === "string" ? body : JSON.stringify(body)) },
    "The development stack");
  const answer = await read(response);
  if (!response.ok) throw new Error(answer.detail ?? `The development stack answered ${response.status}.`);
  return answer;
}
