"""Sends an automation request as a workflow engine does: sample for Python 3.9 or newer, standard library only.

API_URL=… AWS_REGION=… AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… AWS_SESSION_TOKEN=… python3 engine.py KEY < request.json
"""
import hashlib, hmac, http.client, json, os, random, sys, time, urllib.error, urllib.parse, urllib.request

TIMEOUT = 35  # seconds; API Gateway answers within 30
TRIES = int(os.environ.get("TRIES", "10"))
LAST_TRY = 20 * 3600  # seconds; after 24 hours an idempotency key counts as new

def signed(url, body):  # AWS Signature Version 4; botocore's SigV4Auth does the same
    sha256 = lambda data: hashlib.sha256(data).hexdigest()
    mac = lambda key, text: hmac.new(key, text.encode(), hashlib.sha256).digest()
    where, date = urllib.parse.urlsplit(url), time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    headers = {"host": where.netloc, "x-amz-date": date}
    if os.environ.get("AWS_SESSION_TOKEN"):
        headers["x-amz-security-token"] = os.environ["AWS_SESSION_TOKEN"]
    names, lines = ";".join(headers), "".join(f"{name}:{value}\n" for name, value in headers.items())
    scope = f"{date[:8]}/{os.environ['AWS_REGION']}/execute-api/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n" + sha256(f"POST\n{where.path}\n\n{lines}\n{names}\n{sha256(body)}".encode())
    key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in [*scope.split("/"), text]:
        key = mac(key, part)
    credential = f"{os.environ['AWS_ACCESS_KEY_ID']}/{scope}"
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={key.hex()}"
    return urllib.request.Request(url, body, {**headers, "content-type": "application/json"})

def send(url, body):
    """Status and answer; status 0 without one."""
    try:
        try:
            response = urllib.request.urlopen(signed(url, body), timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            return response.status, {**json.load(response)}
    except (TypeError, ValueError):  # no JSON object: cut off, or from a proxy
        return response.status, {}
    except (OSError, http.client.HTTPException):
        return 0, {}

def execute(request, key):
    """The end and the last answer: answered (see `hubspot`), failed (not sent) or look (a person looks in HubSpot first)."""
    # Into the text: parsed and written again, numbers could change.
    body = f'{{"idempotency_key":{json.dumps(key)},{request.strip()[1:]}'.encode()
    start, may_have_acted = time.time(), False
    for nth in range(TRIES):
        status, answer = send(os.environ["API_URL"] + "/v1/automation-requests", body)
        refused = 400 <= status < 500 and "message" in answer  # by API Gateway
        outcome = answer.get("outcome", "not_sent" if refused else "unknown")
        retryable = answer.get("retryable", not refused or status == 429)
        may_have_acted |= outcome not in ("answered", "not_sent")
        wait = answer.get("retry_after_seconds") or random.uniform(0.5, 1) * min(0.5 * 2**nth, 60)
        print(status, answer.get("code", "-"), outcome, file=sys.stderr)
        if not retryable or nth + 1 == TRIES or time.time() + wait > start + LAST_TRY:
            return "answered" if outcome == "answered" else "look" if may_have_acted else "failed", answer
        time.sleep(wait)

if __name__ == "__main__":
    print(json.dumps(execute(sys.stdin.read(), sys.argv[1])))
