// The system's Chromium, as a person has it; the flags keep it from calling anybody on its own.
import { defineConfig } from "@playwright/test";

export default defineConfig({
  testDir: ".",
  outputDir: "results/traces",
  fullyParallel: true,
  workers: 2,
  // Limits for a busy machine: a scenario that took 37 s of 45 s beside other work is no failure.
  timeout: 180_000,
  expect: { timeout: process.env.FAULTS ? 3_000 : 30_000 },
  reporter: process.env.FAULTS ? [["list"], ["./faults.js"]] : [["list"]],
  forbidOnly: true,
  use: {
    actionTimeout: process.env.FAULTS ? 5_000 : 30_000,
    browserName: "chromium",
    screenshot: "only-on-failure",
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: [
        ...(process.getuid() === 0 ? ["--no-sandbox"] : []),
        "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
        "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
      ],
    },
  },
});
