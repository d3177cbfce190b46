// What a JSON Schema asks for: the kind of each field, and what it begins with.
/** @typedef {Record<string, any>} Schema */

const MOST_REFERENCES = 16;
const MOST_NESTED = 2;
export const MOST_DEPTH = 8;
const MOST_PARTS = 200;
const LONG_TEXT = 200;
const LONG_NAME = /(^|_)(text|prompt|body|message|content|code|markdown|html|description|instructions?|notes?|query_text)$/i;
const FILE_NAME = /(^|_)(file|files|document|pdf|csv|image|picture|photo|audio|video|attachment|upload|url|uri)s?$/i;
const FORMATS = /** @type {Record<string, string>} */ ({ date: "date", "date-time": "moment", time: "time", binary: "file" });

/** @param {unknown} value @returns {value is Schema} */
export const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** @param {unknown} value @returns {any[]} */
export const list = (value) => (Array.isArray(value) ? value : []);

/** The part of a document that a reference names. @param {Schema} root @param {string} reference */
function target(root, reference) {
  let found = /** @type {any} */ (root);
  for (const step of reference.replace(/^#\/?/, "").split("/").filter(Boolean)) {
    const name = step.replaceAll("~1", "/").replaceAll("~0", "~");
    found = isObject(found) && Object.hasOwn(found, name) ? found[name] : {};
  }
  return isObject(found) ? found : {};
}

/** A schema without a reference at its top, its `allOf` in one. @param {unknown} schema @param {Schema} root @param {number} [depth] @returns {Schema} */
export function resolved(schema, root, depth = 0) {
  let found = isObject(schema) ? schema : {};
  for (let steps = 0; typeof found.$ref === "string"; steps += 1) {
    if (steps === MOST_REFERENCES) return {};
    const { $ref, ...beside } = found;
    found = { ...target(root, $ref), ...beside };
  }
  if (!Array.isArray(found.allOf)) return found;

  const { allOf, ...own } = found;
  // What is made of itself ends here: no person writes parts of parts of parts.
  const parts = depth < MOST_NESTED ? allOf.slice(0, MOST_REFERENCES).map((part) => resolved(part, root, depth + 1)) : [];
  return parts
    .reduce((whole, part) => ({ ...part, ...whole,
      properties: { ...part.properties, ...whole.properties }, required: [...list(part.required), ...list(whole.required)] }), own);
}

/** @param {Schema} schema @returns {string[]} */
export const typesOf = (schema) => (Array.isArray(schema.type) ? schema.type : [schema.type]).filter((type) => typeof type === "string");

/** The schemas of which a value fits one; null aside. @param {Schema} schema @param {Schema} root @returns {Schema[]} */
export function variantsOf(schema, root) {
  const given = list(schema.anyOf ?? schema.oneOf).map((one) => resolved(one, root));
  const types = typesOf(schema).filter((type) => type !== "null");
  const all = given.length || types.length < 2 ? given : types.map((type) => ({ ...schema, type }));
  return all.filter((one) => one.type !== "null");
}

/** @param {Schema} schema @param {Schema} root */
export const takesNull = (schema, root) =>
  typesOf(schema).includes("null") || list(schema.anyOf ?? schema.oneOf).some((one) => resolved(one, root).type === "null");

/** A schema as a field shows it: of one variant beside null, that variant. @param {unknown} schema @param {Schema} root @returns {Schema} */
export function shown(schema, root) {
  const own = resolved(schema, root);
  const variants = variantsOf(own, root);
  if (variants.length !== 1) return own;
  const { anyOf, oneOf, ...beside } = own;
  return { ...variants[0], ...beside, type: variants[0].type };
}

/** What a field is drawn as. @param {Schema} schema Of `shown`. @param {Schema} root @param {string} name @param {number} depth */
export function kindOf(schema, root, name, depth) {
  if (depth > MOST_DEPTH) return "json";
  if ("const" in schema) return "const";
  if (Array.isArray(schema.enum)) return "choice";
  if (variantsOf(schema, root).length > 1) return "variants";

  const type = typesOf(schema).find((one) => one !== "null");
  if (type === "string") return textKind(schema, name);
  if (type === "array") return isObject(schema.items) ? "list" : "json";
  if (type === "object") return isObject(schema.properties) && inBounds(Object.keys(schema.properties).length) ? "object" : "json";
  return type === "integer" || type === "number" || type === "boolean" ? type : "json";
}

/** @param {number} parts */
const inBounds = (parts) => parts > 0 && parts <= MOST_PARTS;

/** @param {Schema} schema @param {string} name */
function textKind(schema, name) {
  if (FORMATS[schema.format]) return FORMATS[schema.format];
  if (schema.format === "uri" || schema.contentMediaType || FILE_NAME.test(name)) return "file";
  const isLong = schema.maxLength > LONG_TEXT || String(schema.default ?? "").includes("\n") || LONG_NAME.test(name);
  return isLong ? "long" : "text";
}

/** What a field begins with; undefined is left out of what is sent. @param {unknown} schema @param {Schema} root @param {number} [depth] @returns {any} */
export function initial(schema, root, depth = 0) {
  const own = shown(schema, root);
  if ("const" in own) return own.const;
  if (own.default !== undefined) return own.default;
  if (takesNull(resolved(schema, root), root)) return null;
  if (depth > MOST_DEPTH) return undefined;

  const variants = variantsOf(own, root);
  if (variants.length > 1) return initial(variants[0], root, depth + 1);
  if (kindOf(own, root, "", depth) === "boolean") return false;
  if (kindOf(own, root, "", depth) === "list") return [];
  if (kindOf(own, root, "", depth) !== "object") return undefined;
  const required = list(own.required);
  const entries = Object.entries(own.properties).map(([name, part]) => [name, startOf(part, root, depth + 1, required.includes(name))]);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

/** An optional part without a default begins empty: it may contain itself. @param {unknown} schema @param {Schema} root @param {number} depth @param {boolean} required */
function startOf(schema, root, depth, required) {
  const own = shown(schema, root);
  return required || own.default !== undefined || "const" in own ? initial(schema, root, depth) : undefined;
}

/** Whether two JSON values are the same. @param {unknown} a @param {unknown} b */
export const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** A part of a value, if it has one of that name itself. @param {any} value @param {string} name */
export const partOf = (value, name) => (value !== null && typeof value === "object" && Object.hasOwn(value, name) ? value[name] : undefined);
