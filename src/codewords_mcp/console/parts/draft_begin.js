// What an editor opens: a stored draft, or what a new one begins from.
import { ApiError, get } from "../api.js";
import { visible } from "../format.js";
import { draft as words } from "../strings_drafts.js";
import { headerOf } from "./findings.js";

/**
 * @typedef {object} Open
 * @property {any} draft  The stored draft with its code; null where none is stored yet.
 * @property {string} name
 * @property {string | null} workflow  The id of the workflow that it is of.
 * @property {number | null} base  The version that it began from.
 * @property {string} stored  The text that is stored, or that it began from.
 */

/** In the place of an id: nothing is stored yet. */
export const NEW = "new";
/** The template whose header a new program begins with. */
const BLANK = "greeting";
const BODY = `
import os

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI(title="New workflow")


class Request(BaseModel):
    text: str


@app.post("/")
async def main(request: Request):
    return {"text": request.text}


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))
`;

/** @param {string} id */
export const pathOf = (id) => `/drafts/${encodeURIComponent(id)}`;

/** Line ends as the editor has them, and as Python reads them: else a text would count as changed when it is opened. @param {string} code */
const withNewlines = (code) => code.replace(/\r\n?/g, "\n");

/** @param {any} draft @returns {Open} */
export const ofDraft = (draft) => ({ draft, name: draft.name, workflow: draft.workflow_id, base: draft.base_version, stored: withNewlines(draft.code) });

/** @param {string} id @param {import("../api.js").Options} options */
export const stored = async (id, options) => ofDraft(await get(pathOf(id), { code: 1 }, options));

/**
 * What a new draft begins from: a workflow's open draft or live version, a template, or a header.
 * @param {URLSearchParams} query @param {import("../api.js").Options} options @returns {Promise<Open>}
 */
export async function begin(query, options) {
  const workflow = query.get("workflow");
  if (workflow) {
    const [found, { items }] = await Promise.all([get(`/workflows/${encodeURIComponent(workflow)}`, { code: 1 }, options), get("/drafts", {}, options)]);
    if (found.published_by) throw new ApiError(404, { error: { message: words.foreign(visible(found.published_by)) } });
    // Changes of one workflow come together in one draft.
    const open = items.find((/** @type {any} */ one) => one.workflow_id === workflow);
    return open ? stored(open.draft_id, options) : { draft: null, name: found.name, workflow, base: found.version, stored: withNewlines(found.code ?? "") };
  }

  const { items } = await get("/templates", {}, options);
  const template = items.find((/** @type {any} */ one) => one.id === (query.get("template") ?? BLANK));
  if (query.has("template")) {
    if (!template) throw new ApiError(404, { error: { message: words.noTemplate } });
    return { draft: null, name: template.title, workflow: null, base: null, stored: template.code };
  }
  return { draft: null, name: "", workflow: null, base: null, stored: headerOf(template?.code ?? "") + BODY };
}
