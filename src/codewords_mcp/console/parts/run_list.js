// The runs that a list shows: loaded by pages, live, and what of them is selected.
import { get, onChange } from "../api.js";
import { batch, signal } from "../ui.js";
import { queryOf } from "./filters.js";

const PAGE = 50;
const GATHER_MS = 250;

/** @typedef {import("./run_facts.js").RunRecord} RunRecord */

export class RunList {
  constructor() {
    this.items = signal(/** @type {RunRecord[] | null} */ (null));
    this.cursor = signal(/** @type {string | null} */ (null));
    this.error = signal(/** @type {any} */ (null));
    this.loading = signal(false);
    /** How far a search has looked. */
    this.searched = signal(/** @type {{runs: number, until: string | null} | null} */ (null));
    this.arrived = signal(0);
    this.selected = signal(/** @type {Set<string>} */ (new Set()));
    /** @type {Record<string, string>} */
    this._filters = {};
    this._held = false;
    this._opened = 0;
    this._pending = new Set();
    this._timer = 0;
    this._stop = onChange((change) => this._onChange(change));
  }

  /** Show the newest runs that match. @param {Record<string, string>} filters */
  open(filters) {
    this._filters = filters;
    this._opened += 1;
    this.arrived.value = 0;
    this.select([]);
    this._load(this._opened, null, []);
  }

  /** Show the page after the last one. */
  more() {
    this._load(this._opened, this.cursor.peek(), this.items.peek() ?? []);
  }

  close() {
    this._opened += 1;
    clearTimeout(this._timer);
    this._stop();
  }

  /** Add no rows while the pointer is on the list. @param {boolean} held */
  hold(held) {
    this._held = held;
  }

  /** @param {string[]} ids */
  select(ids) {
    this.selected.value = new Set(ids);
  }

  /** @param {string} id */
  toggle(id) {
    const selected = new Set(this.selected.peek());
    if (!selected.delete(id)) selected.add(id);
    this.selected.value = selected;
  }

  /** @param {number} opened @param {string | null} from @param {RunRecord[]} before */
  async _load(opened, from, before) {
    this.loading.value = true;
    try {
      const page = await get("/runs", { ...queryOf(this._filters), limit: PAGE, cursor: from });
      if (opened !== this._opened) return;
      batch(() => {
        const looked = from ? this.searched.peek()?.runs ?? 0 : 0;
        this.searched.value = page.searched && { ...page.searched, runs: looked + page.searched.runs };
        this.items.value = [...before, ...page.items];
        this.cursor.value = page.next_cursor;
        this.error.value = null;
      });
    } catch (error) {
      if (opened === this._opened) this.error.value = error;
    } finally {
      this.loading.value = false;
      if (this._pending.size) this._schedule();
    }
  }

  /** @param {import("../api.js").Change} change */
  _onChange({ name, data }) {
    if (name !== "run" && name !== "again") return;
    this._pending.add(data.id ?? "");
    this._schedule();
  }

  _schedule() {
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this._refresh(), GATHER_MS);
  }

  /** Update the rows that changed where they are; new ones come on top, or are counted while the person reads. */
  async _refresh() {
    // While the list is loaded for the first time, changes wait for it; where that failed, they are why to try again.
    if (!this.items.peek()) {
      if (!this.loading.peek()) {
        this._pending.clear();
        this.open(this._filters);
      }
      return;
    }
    const ids = [...this._pending];
    this._pending.clear();
    const opened = this._opened;
    const page = await get("/runs", { ...queryOf(this._filters), limit: PAGE }, { quiet: true }).catch(() => null);
    const items = this.items.peek();
    if (!page || !items || opened !== this._opened) return;

    const newest = new Map(page.items.map((/** @type {RunRecord} */ run) => [run.id, run]));
    const known = new Set(items.map((run) => run.id));
    if (items.length && newest.size === PAGE && ![...newest.keys()].some((id) => known.has(id))) {
      this.open(this._filters);  // more came than one page: the runs between are missing
      return;
    }
    const older = ids.filter((id) => known.has(id) && !newest.has(id));
    for (const run of await Promise.all(older.map((id) => get(`/request/${id}`, {}, { quiet: true }).catch(() => null)))) {
      // A record has no first arguments and no name of its workflow: those stay.
      if (run) newest.set(run.id, { ...items.find(({ id }) => id === run.id), ...run });
    }

    const fresh = page.items.filter((/** @type {RunRecord} */ run) => !known.has(run.id));
    const updated = items.map((run) => newest.get(run.id) ?? run);
    const reading = this._held || scrollY > 40;
    this.items.value = reading ? updated : [...fresh, ...updated];
    this.arrived.value = reading ? fresh.length : 0;
  }
}
