// Where workflows may act: sites that the person allowed, one by one, whatever Chrome itself would permit.

export const PICTURES = "pictures of its window";
// Chrome gives the right to take pictures of a window only together with that to see all sites.

// What a site is called: its name without www., with the port where there is one.
export function siteOf(url) {
  return new URL(url).host.replace(/^www\./, "");
}

// Whether what was allowed for `site` holds for `name`, that of the same site or of one below it.
export function covers(site, name) {
  return name === site || name.endsWith(`.${site}`);
}

function patternOf(site) {
  if (site === PICTURES) return "<all_urls>";
  const name = site.replace(/:\d+$/, "");
  return /^\[|^\d+(\.\d+){3}$/.test(name) ? `*://${name}/*` : `*://*.${name}/*`;
}

export async function allowed() {
  const { sites = [] } = await chrome.storage.local.get("sites");
  const held = await Promise.all(sites.map((site) => chrome.permissions.contains({ origins: [patternOf(site)] })));
  return sites.filter((_, at) => held[at]);
}

// Sites that a workflow asked for and nobody has answered yet: [{site, by}].
export async function asked() {
  return (await chrome.storage.local.get("asked")).asked ?? [];
}

export async function ask(site, by) {
  const others = (await asked()).filter((one) => one.site !== site);
  await chrome.storage.local.set({ asked: [...others, { site, by }].slice(-20) });
}

// Must be called by a click: Chrome asks the person as well, which may close the page that called; `granted` is then told.
export async function allow(site) {
  chrome.storage.session.set({ chosen: { site, until: Date.now() + 120_000 } });
  if (await chrome.permissions.request({ origins: [patternOf(site)] })) await granted();
}

// Chrome has permitted something: the site that the person chose is allowed.
export async function granted() {
  const { chosen } = await chrome.storage.session.get("chosen");
  await chrome.storage.session.remove("chosen");
  if (!chosen || chosen.until < Date.now()) return;
  if (!(await chrome.permissions.contains({ origins: [patternOf(chosen.site)] }))) return;
  const { sites = [], asked = [] } = await chrome.storage.local.get(["sites", "asked"]);
  await chrome.storage.local.set({
    sites: [...new Set([...sites, chosen.site])].sort(),
    asked: asked.filter((one) => one.site !== chosen.site),
  });
}

// What was asked is answered; with no, where it is not allowed by now.
export async function answered(site) {
  await chrome.storage.local.set({ asked: (await asked()).filter((one) => one.site !== site) });
}

export async function remove(site) {
  const { sites = [] } = await chrome.storage.local.get("sites");
  const left = sites.filter((one) => one !== site);
  await chrome.storage.local.set({ sites: left });
  await chrome.permissions.remove({ origins: [patternOf(site)] }).catch(() => false);
}

// Resolves to true once it is allowed, to false once it is refused; rejects as `signal` does.
export function decided(site, signal) {
  return new Promise((done, fail) => {
    const look = async () => {
      const { sites = [], asked = [] } = await chrome.storage.local.get(["sites", "asked"]);
      if (sites.includes(site)) end(done, await chrome.permissions.contains({ origins: [patternOf(site)] }));
      else if (!asked.some((one) => one.site === site)) end(done, false);
    };
    const aborted = () => end(fail, signal.reason);
    const end = (settle, value) => {
      chrome.storage.onChanged.removeListener(look);
      signal.removeEventListener("abort", aborted);
      settle(value);
    };
    chrome.storage.onChanged.addListener(look);
    signal.addEventListener("abort", aborted);
    look();
  });
}
