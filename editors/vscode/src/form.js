// The form of a route: made of the schema of its input, read back into values.
"use strict";

/** @typedef {import("./routes").Route} Route */
/** @typedef {{name: string, label: string, help: string, kind: "text" | "long" | "number" | "boolean" | "choice" | "json", required: boolean, value: any, choices: any[], place: "body" | "path" | "query" | "whole"}} Field */

/** @param {unknown} text @returns {string} */
const escaped = (text) => String(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** @param {Record<string, any>} schema @returns {Record<string, any>} */
function plain(schema) {
  const kinds = (schema.anyOf ?? []).filter((/** @type {any} */ kind) => kind.type !== "null");
  return kinds.length === 1 ? { ...kinds[0], ...schema, anyOf: undefined } : schema;
}

/** @param {string} name @param {Record<string, any>} schema @param {{required: boolean, value: any, place: Field["place"]}} facts @returns {Field} */
function fieldOf(name, schema, { required, value, place }) {
  const one = plain(schema);
  const choices = one.enum ?? [];
  const kinds = /** @type {Record<string, Field["kind"]>} */ ({ string: "text", integer: "number", number: "number", boolean: "boolean" });
  let kind = choices.length ? "choice" : (kinds[one.type] ?? "json");
  if (kind === "text" && (String(value ?? "").includes("\n") || one.maxLength > 300)) kind = "long";
  return { name, label: one.title ?? name, help: one.description ?? "", kind, required, value: value ?? one.default, choices, place };
}

/** The fields of a route, filled with an example. @param {Route} route @param {any} example @returns {Field[]} */
function fieldsOf(route, example) {
  const fields = (route.parameters ?? []).filter((one) => one.in === "path" || one.in === "query")
    .map((one) => fieldOf(one.name, one.schema ?? one, { required: one.required === true, value: undefined, place: one.in }));
  if (!route.input) return fields;
  const body = plain(route.input);
  const table = example && typeof example === "object" && !Array.isArray(example) ? example : {};
  if (body.type !== "object" || !body.properties) return [...fields, fieldOf("input", {}, { required: true, value: example ?? {}, place: "whole" })];
  const required = new Set(body.required ?? []);
  return [...fields, ...Object.entries(body.properties).map(([name, schema]) =>
    fieldOf(name, schema, { required: required.has(name), value: table[name] ?? schema.examples?.[0], place: "body" }))];
}

/** @param {Field} field @param {number} number */
function control(field, number) {
  const id = `field-${number}`;
  const shared = `id="${id}" name="${number}" ${field.help ? `aria-describedby="${id}-help"` : ""} ${field.required ? "required" : ""}`;
  const value = field.value;
  const text = value === undefined || value === null ? "" : field.kind === "json" ? JSON.stringify(value, null, 2) : String(value);
  switch (field.kind) {
    case "boolean":
      return `<input type="checkbox" ${shared.replace("required", "")} ${value ? "checked" : ""}>`;
    case "number":
      return `<input type="number" step="any" ${shared} value="${escaped(text)}">`;
    case "choice": {
      const choices = field.choices.map((choice, index) => `<option value="${index}" ${choice === value ? "selected" : ""}>${escaped(choice)}</option>`);
      return `<select ${shared}>${field.required ? "" : '<option value=""></option>'}${choices.join("")}</select>`;
    }
    case "long":
    case "json":
      return `<textarea rows="${Math.min(12, Math.max(3, text.split("\n").length))}" spellcheck="false" ${shared}>${escaped(text)}</textarea>`;
    default:
      return `<input type="text" ${shared} value="${escaped(text)}">`;
  }
}

/** The HTML of the fields. @param {readonly Field[]} fields */
function formHtml(fields) {
  return fields.map((field, number) => {
    const label = `<label for="field-${number}">${escaped(field.label)}${field.required ? "" : ' <span class="quiet">optional</span>'}</label>`;
    const help = field.help ? `<p class="help" id="field-${number}-help">${escaped(field.help)}</p>` : "";
    const one = control(field, number);
    return `<div class="field ${field.kind}">${field.kind === "boolean" ? `${one}${label}` : `${label}${one}`}${help}</div>`;
  }).join("\n");
}

/**
 * What was typed, as values. `typed` has a text or a boolean for each field.
 * @param {readonly Field[]} fields @param {Record<string, string | boolean>} typed
 * @returns {{body: any, parameters: Record<string, any>}} @throws {Error} with the label of a field that is no JSON
 */
function valuesOf(fields, typed) {
  /** @type {Record<string, any>} */
  const parameters = {};
  /** @type {any} */
  let body = fields.some((field) => field.place === "body") ? {} : undefined;
  fields.forEach((field, number) => {
    const value = valueOf(field, typed[number]);
    if (value === undefined) return;
    if (field.place === "whole") body = value;
    else if (field.place === "body") body[field.name] = value;
    else parameters[field.name] = value;
  });
  return { body, parameters };
}

/** @param {Field} field @param {string | boolean | undefined} typed */
function valueOf(field, typed) {
  if (typeof typed === "boolean") return typed;
  if (typed === undefined || (typed === "" && !(field.required && field.kind === "text"))) return undefined;
  if (field.kind === "number") return Number(typed);
  if (field.kind === "choice") return field.choices[Number(typed)];
  if (field.kind !== "json") return typed;
  try {
    return JSON.parse(typed);
  } catch (error) {
    throw new Error(`${field.label} is not JSON: ${error instanceof Error ? error.message : error}`);
  }
}

module.exports = { fieldsOf, formHtml, valuesOf, escaped };
