// The result pages, each as a person sees it.

import { expect, scenario } from "./support.js";

const OUTCOMES = [
  "connected", "reconnected", "declined", "expired", "other-browser", "already-connected", "too-many-integrations", "missing-scopes",
  "different-portal", "start-from-dashboard", "failed", "misconfigured",
];

for (const half of [OUTCOMES.slice(0, 6), OUTCOMES.slice(6)]) {
  scenario(`result pages are accessible: ${half.join(", ")}`, [
    { url: /result\//, from: " lang=\"en\"", to: "", audit: true },
    { url: /result\//, from: "<a href=", to: "<a tabindex=2 href=\"/\">Elsewhere</a><a tabindex=1 href=", audit: true },
  ],
    async ({ page, stack, audit }) => {
      for (const name of half) {
        const response = await page.goto(`${stack.api}/oauth/hubspot/result/${name}`);
        expect(response.status()).toBe(200);
        expect(await response.headerValue("content-security-policy")).toContain("default-src 'none'");
        expect(await page.locator("script").count()).toBe(0);
        await audit(`result-${name}`);
      }
    });
}

scenario("result pages name the product and lead back to the dashboard", { url: /result\//, from: "<a href=", to: "<a data-href=" },
  async ({ page, stack }) => {
    for (const name of OUTCOMES) {
      await page.goto(`${stack.api}/oauth/hubspot/result/${name}`);
      await expect(page).toHaveTitle(/CloudTalk/);
      await expect(page.getByRole("link", { name: "Back to your CloudTalk dashboard" })).toHaveAttribute("href", `${stack.dashboard}/`);
    }
  });

scenario("the page of missing permissions lists them", { url: /result\//, from: "<li>", to: "<li hidden>" },
  async ({ page, stack }) => {
    await page.goto(`${stack.api}/oauth/hubspot/result/missing-scopes`);
    await expect(page.getByRole("listitem").filter({ hasText: "crm.objects.contacts.read" })).toBeVisible();
  });

scenario("result pages show nothing of their query", { url: /result\//, from: "</main>", to: "<p>hostile</p></main>" },
  async ({ page, stack }) => {
    await page.goto(`${stack.api}/oauth/hubspot/result/failed?error_description=hostile<script>alert(1)</script>`);
    await expect(page.getByText("hostile")).toHaveCount(0);
  });
