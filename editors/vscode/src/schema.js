// What the JSON Schema of the header says of a key: its description, its values, what may be written.
"use strict";

/** @typedef {Record<string, any>} Schema */
/** @typedef {{name: string, detail: string, text: string, documentation: string}} Suggestion */

/** A schema with its reference followed. @param {Schema} root @param {Schema | undefined} schema @returns {Schema} */
function followed(root, schema) {
  const name = /^#\/\$defs\/(\w+)$/.exec(schema?.$ref ?? "")?.[1];
  return name ? { ...root.$defs[name], ...schema } : (schema ?? {});
}

/** The alternatives of a schema, references followed. @param {Schema} root @param {Schema} schema @returns {Schema[]} */
const kindsOf = (root, schema) => (schema.anyOf ? schema.anyOf.map((/** @type {Schema} */ kind) => followed(root, kind)) : [followed(root, schema)]);

/** The keys of a table, or of the inline table of one of its keys. @param {Schema} root @param {string} table @param {string} [key] @returns {Record<string, Schema>} */
function keysOf(root, table, key = "") {
  let schema = root;
  for (const part of table.split(".").filter(Boolean)) {
    schema = followed(root, schema.properties?.[part]);
    if (!schema.properties) return {};
  }
  if (!key) return schema.properties ?? {};
  const inner = kindsOf(root, schema.properties?.[key] ?? {}).find((kind) => kind.properties);
  return inner?.properties ?? {};
}

/** A value as TOML. @param {any} value @returns {string} */
function toml(value) {
  if (Array.isArray(value)) return `[${value.map(toml).join(", ")}]`;
  if (value && typeof value === "object") {
    const pairs = Object.entries(value).map(([name, one]) => `${/^[\w-]+$/.test(name) ? name : JSON.stringify(name)} = ${toml(one)}`);
    return `{${pairs.join(", ")}}`;
  }
  return JSON.stringify(value);
}

/** The values that a key may have, where they are few. @param {Schema} root @param {Schema} schema @returns {any[]} */
function valuesOf(root, schema) {
  return kindsOf(root, schema).flatMap((kind) => kind.enum ?? ("const" in kind ? [kind.const] : kind.type === "boolean" ? [true, false] : []));
}

/** The Markdown that explains a key. @param {Schema} root @param {string} name @param {Schema} schema */
function explained(root, name, schema) {
  const values = valuesOf(root, schema);
  const lines = [`**${name}**`, followed(root, schema).description ?? ""];
  if (values.length) lines.push(`Values: ${values.map((value) => `\`${toml(value)}\``).join(", ")}`);
  if (schema["x-without"]) lines.push(`*Without it:* ${schema["x-without"]}`);
  if (schema.examples?.length) lines.push(`\`\`\`toml\n${name} = ${toml(schema.examples[0])}\n\`\`\``);
  return lines.join("\n\n");
}

/** What may be typed at a place. @param {Schema} root @param {import("./header").Place} place @returns {Suggestion[]} */
function suggestionsAt(root, place) {
  if (place.kind === "table") {
    return [["tool.codewords", "How it runs, and what it may reach"], ["tool.env-checker", "The variables that it gets"]]
      .map(([name, detail]) => ({ name, detail, text: name, documentation: "" }));
  }
  if (place.kind === "value") {
    const schema = keysOf(root, place.table)[place.key];
    if (!schema || place.listed) return [];
    const values = valuesOf(root, schema);
    return (values.length ? values : (schema.examples ?? []))
      .map((/** @type {any} */ value) => ({ name: toml(value), detail: values.length ? "" : "example", text: toml(value), documentation: explained(root, place.key, schema) }));
  }
  return Object.entries(keysOf(root, place.table, place.key)).filter(([name]) => name !== "tool").map(([name, schema]) => {
    const example = schema.examples?.[0] ?? valuesOf(root, schema)[0];
    const text = example === undefined ? `${name} = ` : `${name} = ${toml(example)}`;
    return { name, detail: schema["x-without"] ? `else ${schema["x-without"].replaceAll("`", "")}` : "", text, documentation: explained(root, name, schema) };
  });
}

module.exports = { keysOf, explained, suggestionsAt, toml, valuesOf };
