// Routes: those that a file's text declares, and those that a program's own description has.
"use strict";

const DECORATOR = /^\s*@[A-Za-z_]\w*\.(get|post|put|patch|delete)\(\s*(?:path\s*=\s*)?(["'])(\/[^"']*)\2/;

/** @typedef {{line: number, method: string, path: string}} DeclaredRoute */
/**
 * @typedef {object} Route
 * @property {string} method
 * @property {string} path
 * @property {string} [summary]
 * @property {Record<string, any>} [input]  The schema of the JSON body.
 * @property {Array<Record<string, any>>} [parameters]
 */

/** The routes that FastAPI decorators declare. @param {readonly string[]} lines @returns {DeclaredRoute[]} */
function declaredRoutes(lines) {
  return lines.flatMap((text, line) => {
    const found = DECORATOR.exec(text);
    return found ? [{ line, method: found[1].toUpperCase(), path: found[3] }] : [];
  });
}

/** The route of this method and path, else the first that takes input. @param {readonly Route[]} routes @param {{method: string, path: string} | undefined} wanted */
function pickRoute(routes, wanted) {
  if (wanted) return routes.find((route) => route.method === wanted.method && route.path === wanted.path) ?? null;
  return routes.find((route) => route.method === "POST" && route.path === "/") ?? routes[0] ?? null;
}

/** The path with its values, and a query of the others. @param {Route} route @param {Record<string, any>} values */
function addressOf(route, values) {
  const query = new URLSearchParams();
  let path = route.path;
  for (const parameter of route.parameters ?? []) {
    const value = values[parameter.name];
    if (value === undefined || value === "") continue;
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(String(value)));
    else if (parameter.in === "query") query.append(parameter.name, String(value));
  }
  return query.size ? `${path}?${query}` : path;
}

module.exports = { declaredRoutes, pickRoute, addressOf };
