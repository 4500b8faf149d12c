// Automations as customers have stored them.

const upload = [
  "--part", 'Content-Disposition: form-data; name="options"', "", '{"access":"PRIVATE"}',
  "--part", 'Content-Disposition: form-data; name="file"; filename="call.txt"', "Content-Type: text/plain", "", "A short call.",
  "--part--", "",
].join("\r\n");

export const EXAMPLES = [
  ["An old API key in the URL", {
    method: "GET",
    endpoint: "https://api.hubapi.com/crm/v3/objects/contacts?limit=5&hapikey=66666666-7777-8888-9999-000000000000",
  }],
  ["A private-app token in a header", {
    method: "GET", endpoint: "/crm/v3/objects/contacts",
    query: { limit: 5, properties: ["email", "firstname"] },
    headers: { Authorization: "Bearer pat-na1-11111111-2222-3333-4444-555555555555" },
  }],
  ["No credential at all", { method: "GET", endpoint: "/crm/v3/objects/contacts?limit=5" }],
  ["A search", {
    method: "POST", endpoint: "/crm/v3/objects/contacts/search?hapikey=old",
    body: { limit: 3, filterGroups: [{ filters: [{ propertyName: "email", operator: "EQ", value: "ada@example.com" }] }] },
  }],
  ["A write (give it an idempotency key)", {
    method: "POST", endpoint: "/crm/v3/objects/contacts",
    body: { properties: { email: "ada@example.com", firstname: "Ada", lastname: "Lovelace" } },
  }, () => `call-${crypto.randomUUID().slice(0, 8)}`],
  ["An upload", {
    method: "POST", endpoint: "/files/v3/files", headers: { "Content-Type": "multipart/form-data; boundary=part" }, body_text: upload,
  }],
  ["A request that is refused: another host", { method: "GET", endpoint: "https://evil.example/crm/v3/objects/contacts" }],
];
