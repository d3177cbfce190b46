// Compare modules with what stands for them in a chunk, by the syntax trees of acorn. Prints the names of those that differ.
import { readFileSync } from "node:fs";
import { posix } from "node:path";
import { parse } from "acorn";

const PLACES = new Set(["start", "end", "raw"]);
const { modules, chunks } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const tree = (text) => parse(text, { ecmaVersion: "latest", sourceType: "module" }).body;
const variable = (name) => "$" + name.replace(/\.js$/, "").replace(/\W/g, "_");
const nameOf = (node) => node.name ?? node.value;
const pair = (inner, outer) => `${inner} as ${outer}`;

/** A text of a tree, with dynamic imports as the variables of what they import. */
function textOf(nodes, target) {
  return JSON.stringify(nodes, (name, value) => {
    if (PLACES.has(name)) return undefined;
    if (value instanceof RegExp) return String(value);
    return (value?.type && target(value)) || value;
  });
}

/** What a module says: its imports, its exports, its code. */
function written(name, text) {
  const targetOf = (source) => posix.join(posix.dirname(name), source);
  const imports = [], exports = [], code = [];
  for (const node of tree(text)) {
    const source = node.source && variable(targetOf(node.source.value));
    if (node.type === "ImportDeclaration") {
      for (const one of node.specifiers) imports.push(`${source}.${pair(one.imported ? nameOf(one.imported) : "default", one.local.name)}`);
    } else if (node.type === "ExportDefaultDeclaration") {
      const { id } = node.declaration;
      exports.push(pair(id?.name ?? "default_", "default"));
      if (id) code.push(node.declaration);
      else code.push({ ...tree("const default_ = 0")[0], default: node.declaration });
    } else if (node.type === "ExportNamedDeclaration" && node.declaration) {
      for (const { id } of node.declaration.declarations ?? [node.declaration]) exports.push(pair(id.name, id.name));
      code.push(node.declaration);
    } else if (node.type === "ExportNamedDeclaration") {
      for (const one of node.specifiers) exports.push(pair((source ? `${source}.` : "") + nameOf(one.local), nameOf(one.exported)));
    } else {
      code.push(node);
    }
  }
  const target = (node) => node.type === "ImportExpression" && { later: variable(targetOf(node.source.value)) };
  return [imports.sort(), exports.sort(), textOf(code, target)];
}

/** The same of the function that stands for a module. */
function linked(init) {
  const body = init.callee.body.body;
  const imports = [], exports = [], code = [];
  for (const node of body.slice(0, -1)) {
    const source = node.type === "VariableDeclaration" && node.declarations[0].init;
    if (source?.type === "Identifier" && /^\$\w/.test(source.name)) {
      for (const one of node.declarations[0].id.properties) imports.push(`${source.name}.${pair(nameOf(one.key), one.value.name)}`);
    } else if (node.type === "VariableDeclaration" && node.declarations[0].id.name === "default_") {
      // In a module it is an expression or a function without a name.
      const { init: value } = node.declarations[0];
      const type = value.type === "FunctionExpression" ? "FunctionDeclaration" : value.type;
      code.push({ ...tree("const default_ = 0")[0], default: { ...value, type } });
    } else {
      code.push(node);
    }
  }
  for (const one of body.at(-1).argument.properties) {
    const inner = one.value.type === "MemberExpression" ? `${one.value.object.name}.${one.value.property.name}` : one.value.name;
    exports.push(pair(inner, nameOf(one.key)));
  }
  const target = (node) => {
    if (node.type === "ImportExpression" && !chunks[posix.normalize(node.source.value)]) return { later: variable(posix.normalize(node.source.value)) };
    if (node.type !== "CallExpression" || node.callee.object?.type !== "ImportExpression") return null;
    const { name } = node.arguments[0].body.property;
    const holds = holding.get(posix.normalize(node.callee.object.source.value));
    return { later: holds?.includes(name) ? name : "nothing" };
  };
  return [imports.sort(), exports.sort(), textOf(code, target)];
}

const trees = new Map(Object.entries(chunks).map(([address, text]) => [address, tree(text)]));
const holding = new Map([...trees].map(([address, nodes]) => [address, nodes.at(-1).specifiers.map((one) => one.exported.name)]));
const found = new Map();
const wrong = [];
for (const [address, nodes] of trees) {
  for (const node of nodes) {
    if (node.type === "ImportDeclaration") {
      const held = holding.get(posix.normalize(node.source.value)) ?? [];
      if (!node.specifiers.every((one) => held.includes(one.imported.name))) wrong.push(address);
    }
    if (node.type !== "VariableDeclaration") continue;
    const { id, init } = node.declarations[0];
    if (found.has(id.name)) wrong.push(id.name);
    found.set(id.name, linked(init));
  }
}
for (const [name, text] of Object.entries(modules)) {
  if (JSON.stringify(written(name, text)) !== JSON.stringify(found.get(variable(name)))) wrong.push(name);
}
if (found.size !== Object.keys(modules).length) wrong.push(`${found.size} modules`);
console.log(JSON.stringify(wrong));
