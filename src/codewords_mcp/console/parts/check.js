// What is wrong with a value, in words, beside the field that has it.
import { form as words } from "../strings_workflows.js";
import { isObject, list, MOST_DEPTH, partOf, resolved, same, shown, takesNull, typesOf, variantsOf } from "./schema.js";

/** @typedef {import("./schema.js").Schema} Schema */
/** @typedef {Record<string, string>} Problems  Words by the path of a field, like `/people/0/name`. */

/** Groups that are repeated can make the browser search for ever. */
const REPEATED_GROUP = /\)[*+{?]/;

/** Text in a field for JSON that is none. */
export class Broken {
  /** @param {string} text @param {string} message */
  constructor(text, message) {
    this.text = text;
    this.message = message;
  }
}

/** The value of a JSON text; nothing of an empty one. @param {string} text @returns {any} */
export function parse(text) {
  if (!text.trim()) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    return new Broken(text, error instanceof Error ? error.message : String(error));
  }
}

/**
 * What is wrong with a value, by the path of the field.
 * @param {any} value @param {unknown} schema @param {Schema} root @param {boolean} [required] @param {string} [path] @param {number} [depth]
 * @returns {Problems}
 */
export function check(value, schema, root, required = true, path = "", depth = 0) {
  const own = shown(schema, root);
  const nullable = takesNull(resolved(schema, root), root);
  if (value instanceof Broken) return { [path]: words.notJson(value.message) };
  if (value === undefined || (value === "" && required && !nullable)) return required && !nullable ? { [path]: words.missing } : {};
  if ((value === null && nullable) || depth > 2 * MOST_DEPTH) return {};

  const variants = variantsOf(own, root);
  if (variants.length > 1) {
    const found = variants.map((one) => check(value, one, root, true, path, depth + 1));
    return found.find((problems) => !Object.keys(problems).length) ?? found[bestVariant(value, variants, root)];
  }
  const problem = own.enum && !own.enum.some((/** @type {any} */ one) => same(one, value)) ? words.notOffered : problemOf(value, own);
  if (problem) return { [path]: problem };
  return partsOf(value, own).reduce((all, [name, part, needed]) => ({ ...all, ...check(partOf(value, name), part, root, needed, `${path}/${name}`, depth + 1) }), {});
}

/** The variant that a value is of: that with the fewest problems. @param {any} value @param {Schema[]} variants @param {Schema} root */
export function bestVariant(value, variants, root) {
  const counts = variants.map((one) => ("const" in one && !same(one.const, value) ? Infinity : weight(check(value, one, root))));
  return Math.max(0, counts.indexOf(Math.min(...counts)));
}

/** A value of another kind is further away than one with faults inside. @param {Problems} problems */
const weight = (problems) => Object.keys(problems).length + ("" in problems ? 100 : 0);

/** The parts of a value with their schemas. @param {any} value @param {Schema} schema @returns {[string, unknown, boolean][]} */
function partsOf(value, schema) {
  if (Array.isArray(value)) return value.map((_, index) => [String(index), schema.items ?? {}, true]);
  if (!isObject(value) || !isObject(schema.properties)) return [];
  const required = list(schema.required);
  return Object.entries(schema.properties).map(([name, part]) => [name, part, required.includes(name)]);
}

/** @param {any} value @param {Schema} schema */
function problemOf(value, schema) {
  if ("const" in schema) return same(value, schema.const) ? "" : words.only(JSON.stringify(schema.const));
  const type = typesOf(schema).find((one) => one !== "null");
  if (type === "integer" || type === "number") return numberProblem(value, schema, type);
  if (type === "string") return typeof value === "string" ? textProblem(value, schema) : words.text;
  if (type === "boolean") return typeof value === "boolean" ? "" : words.boolean;
  if (type === "array") return Array.isArray(value) ? countProblem(value.length, schema) : words.list;
  return type === "object" && !isObject(value) ? words.object : "";
}

/** @param {any} value @param {Schema} schema @param {string} type */
function numberProblem(value, schema, type) {
  if (typeof value !== "number" || !Number.isFinite(value)) return type === "integer" ? words.integer : words.number;
  if (type === "integer" && !Number.isInteger(value)) return words.integer;
  if (type === "integer" && !Number.isSafeInteger(value)) return words.tooExact;
  if (value < schema.minimum) return words.least(schema.minimum);
  if (value > schema.maximum) return words.most(schema.maximum);
  if (value <= schema.exclusiveMinimum) return words.above(schema.exclusiveMinimum);
  if (value >= schema.exclusiveMaximum) return words.below(schema.exclusiveMaximum);
  const steps = value / schema.multipleOf;
  return schema.multipleOf > 0 && Math.abs(steps - Math.round(steps)) > 1e-9 ? words.multiple(schema.multipleOf) : "";
}

/** @param {string} value @param {Schema} schema */
function textProblem(value, schema) {
  const length = [...value].length;
  if (length < schema.minLength) return words.longer(schema.minLength);
  if (length > schema.maxLength) return words.shorter(schema.maxLength, length);
  return fits(value, schema.pattern) ? "" : words.pattern(schema.pattern);
}

/** Whether a text fits a pattern; one that can't be tried safely is left to the workflow. @param {string} value @param {unknown} pattern */
function fits(value, pattern) {
  if (typeof pattern !== "string" || REPEATED_GROUP.test(pattern) || value.length > 1000) return true;
  try {
    return new RegExp(pattern, "u").test(value);
  } catch {
    return true;
  }
}

/** @param {number} length @param {Schema} schema */
function countProblem(length, schema) {
  if (length < schema.minItems) return words.moreItems(schema.minItems);
  return length > schema.maxItems ? words.fewerItems(schema.maxItems) : "";
}
