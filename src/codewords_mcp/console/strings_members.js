// Sentences of the page of members, keys and sessions.
import { count, plural } from "./format.js";

export const members = {
  headline: (/** @type {number} */ n) => (n ? `${plural(n, "member")} of this home` : "This home is one person's"), you: (/** @type {string} */ name, /** @type {string} */ role) => `You are ${name}, ${role}`, owner: (/** @type {string} */ name) => `You are ${name}`,
  title: "Members", lead: "Everybody who shares this home, each with a role. Workflows, runs and secrets belong to the home.", none: "Nobody else has been invited. Members sign in with an account of their own, and the audit trail names them.",
  columns: { name: "Member", role: "Role", state: "State", since: "Since", actions: "" }, service: "service account", self: "you", joined: "joined", invited: "invited, the link ends", over: "the invitation is over", again: "a new link ends",
  invite: "Invite", inviteTitle: "Add a member", name: "Name", nameHint: "a-z, 0-9 and ._+@-, such as grace or grace@example.com", role: "Role", isService: "A service account: has keys, and signs in nowhere", add: (/** @type {string} */ name, /** @type {string} */ role) => `Add ${name} as ${role}`,
  linkTitle: (/** @type {string} */ name) => `The link for ${name}`, link: (/** @type {string} */ name, /** @type {string} */ when) => `Send it to ${name} alone: whoever opens it signs in as ${name}. It works once, until ${when}, and is shown this once.`, added: (/** @type {string} */ name) => `${name} is there. Make a key for it below.`,
  newLink: (/** @type {string} */ name) => `Make a sign-in link for ${name}`, newLinkShort: "Sign-in link", newLinkLead: "It signs a browser in, once, and takes the place of an earlier link.",
  change: (/** @type {string} */ name) => `Change role of ${name}`, changeShort: "Change role", give: (/** @type {string} */ name, /** @type {string} */ role) => `Make ${name} ${role}`, changeLead: "It counts from the next request on, also for keys and sessions.", keepRole: "Keep the role",
  remove: (/** @type {string} */ name) => `Remove ${name}`, removeShort: "Remove", removeTitle: (/** @type {string} */ name) => `Remove ${name}?`, keep: "Keep the member", counting: "Looking for keys and sessions …",
  ends: (/** @type {number} */ keys, /** @type {number} */ sessions) => `${plural(keys, "key")} and ${plural(sessions, "session")} end at once, with passkeys and sign-in links.`, asked: "Questions that wait for an agreement are asked anew.", stays: "Workflows, runs, schedules, triggers and secrets stay and go on: they are the home's.", secrets: "Change the secrets that this member knew.",
  roles: /** @type {[string, string][]} */ ([
    ["viewer", "Sees workflows, runs, logs and costs, and changes nothing."],
    ["runner", "Also runs and cancels workflows, and answers the questions that runs ask."],
    ["author", "Also deploys and changes workflows, secrets, schedules and connections, and agrees to permissions."],
    ["admin", "Also manages members up to this role, keys, budgets, sessions and the audit trail, and stops the runtime."],
    ["owner", "Also manages owners, keys of other owners of the database, and the master key."],
  ]),
};

export const sessions = {
  title: "Browsers signed in", lead: "A session ends 12 hours after its browser signed in, and two hours after its last use.", here: "This browser", unknown: "A browser", began: "signed in", used: "last used", opened: "Pages open of", of: (/** @type {string} */ browser, /** @type {string} */ name) => `${browser} of ${name}`,
  end: "End this session", endOf: (/** @type {string} */ name) => `End this session: ${name}`, endOthers: "End my others", signOut: "Sign out",
};

export const passkeys = {
  title: "Passkeys", lead: "A passkey signs you in by a fingerprint, a face or a PIN, where no assistant and no copy of a page can.", of: "of", at: (/** @type {string} */ site) => `at ${site}`, added: "added", used: "last used", unused: "never used",
  add: "Add a passkey", addTitle: "Add a passkey", addLead: "Your browser or phone makes it next, and asks who you are.", name: "Name", example: "My laptop", make: "Make the passkey", renameShort: "Rename", rename: (/** @type {string} */ name) => `Rename ${name}`,
  revokeShort: "Revoke", revoke: (/** @type {string} */ name) => `Revoke ${name}`, revokeTitle: (/** @type {string} */ name) => `Revoke ${name}?`, revokeLead: "Nobody signs in by it any more. Sessions go on.", keep: "Keep it",
  old: "This browser is too old for passkeys.", known: "This device has a passkey of yours already.", failed: "The browser made no passkey. It was not confirmed, or took too long.",
};

export const keys = {
  title: "Keys", own: "Your keys", none: "Keys are for programs that call this runtime. Browsers and chat hosts on this machine need none.",
  columns: { prefix: "Key", owner: "Of", kind: "Kind", scopes: "May", created: "Made", used: "Last used", actions: "" }, everything: "everything", asMember: "what the role allows", never: "never", gone: "a member who is gone",
  revoked: "revoked", revoke: (/** @type {string} */ prefix) => `Revoke ${prefix}…`, revokeShort: "Revoke", add: "Make a key", owner: "Owner", member: "Member", noMember: "no member", admin: "Admin key", may: "It may", allOfRole: "All that the role allows", allOfOwner: "All of its owner",
  lifetime: "It ends", forEver: "when it is revoked", days: (/** @type {number} */ n) => (n < 365 ? `after ${plural(n, "day")}` : "after a year"),
  make: (/** @type {string} */ owner) => `Make a key for ${owner}`, once: "Copy it now: it is shown once.", revokeTitle: "Revoke this key?", revokeLead: "Programs that use it are refused from now on.", keep: "Keep it",
};

export const scopeWords = /** @type {Record<string, string>} */ ({
  read: "See workflows, runs, logs and costs.", run: "Start workflows, and call models and services.", deploy: "Bring new versions, without agreeing to permissions for a person.",
  write: "Change and deploy things, and agree.", audit: "Read the audit trail.", metrics: "Read metrics.",
});

export const owners = {
  title: "Owners", columns: { owner: "Owner", role: "Keys may", keys: "Keys", used: "Last used", actions: "" }, admin: "everything", user: "use", keys: (/** @type {number} */ valid, /** @type {number} */ ended) => (ended ? `${count(valid)} valid, ${count(ended)} ended` : `${count(valid)} valid`), never: "never",
  lead: "Everybody with a key of their own. Workflows, runs and secrets belong to their owner, and nobody else sees them.", revoke: (/** @type {string} */ owner) => `Revoke all keys of ${owner}`, revokeShort: "Revoke all", revokeTitle: (/** @type {string} */ owner) => `Revoke all keys of ${owner}?`,
  revokeLead: (/** @type {number} */ n) => `${plural(n, "key")} ${n === 1 ? "is" : "are"} refused from now on. Workflows, runs and secrets stay.`, keep: "Keep them",
};
