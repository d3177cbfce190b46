// The English sentences about alerts, loaded with them.
import { plural } from "./format.js";

export const alerts = {
  title: "Failed while nobody watched",
  times: (/** @type {number} */ n) => (n > 1 ? `${plural(n, "time")}, last` : ""),
  known: "you know of it",
  open: "Open the run", openOther: "See where",
  openOf: (/** @type {string} */ act, /** @type {string} */ what) => `${act}: ${what}`,
  acknowledge: "I know", acknowledgeOf: (/** @type {string} */ what) => `I know of it: ${what}. It stays until it works again, and no more messages are sent`,
  dismiss: "Dismiss", dismissOf: (/** @type {string} */ what) => `Dismiss: ${what}. The next failure brings it back`,
};

export const alertSettings = {
  title: "Alerts", lead: "Failures that nobody watched are in the inbox. They can be sent elsewhere, too; settings that are empty send nothing.",
  runs: "Alerts of", whose: [["triggered", "runs of schedules and webhooks"], ["background", "all runs in the background"], ["none", "no runs"]],
  fields: [
    ["webhook", "Webhook", "https://example.org/alerts"], ["webhook_secret", "Secret that signs it", "ALERT_WEBHOOK_SECRET"],
    ["email", "E-mail", "ann@example.org, ben@example.org"], ["slack", "Channel of Slack", "C0123456789"],
    ["quiet_from", "Quiet hours begin", "22:00"], ["quiet_until", "Quiet hours end", "07:00"], ["timezone", "Time zone", "UTC"],
  ],
  every: "Minutes between messages of one alert", save: "Save", test: "Send a test",
  failed: (/** @type {string} */ channel) => `Messages by ${channel} were not taken; they are tried again.`,
  result: (/** @type {string} */ channel, /** @type {string} */ problem) => (problem ? `${channel}: ${problem}` : `${channel}: accepted`),
};
