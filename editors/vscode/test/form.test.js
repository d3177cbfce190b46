"use strict";
const assert = require("node:assert/strict");
const test = require("node:test");
const { fieldsOf, formHtml, valuesOf } = require("../src/form");
const { addressOf, declaredRoutes, pickRoute } = require("../src/routes");

const ROUTE = {
  method: "POST", path: "/people/{id}",
  parameters: [
    { name: "id", in: "path", required: true, schema: { type: "integer" } },
    { name: "deep", in: "query", required: false, schema: { type: "boolean" } },
  ],
  input: {
    type: "object", required: ["name"],
    properties: {
      name: { type: "string", title: "Name", description: "Whom to <greet>" },
      age: { anyOf: [{ type: "integer" }, { type: "null" }] },
      tone: { enum: ["warm", "dry"], default: "dry" },
      loud: { type: "boolean", default: false },
      tags: { type: "array", items: { type: "string" } },
    },
  },
};

test("a field is made for each part of the address and the input, filled with the example", () => {
  const fields = fieldsOf(ROUTE, { name: "Ada", tags: ["a"] });
  assert.deepEqual(fields.map((one) => [one.name, one.kind, one.place, one.required]), [
    ["id", "number", "path", true], ["deep", "boolean", "query", false], ["name", "text", "body", true], ["age", "number", "body", false],
    ["tone", "choice", "body", false], ["loud", "boolean", "body", false], ["tags", "json", "body", false],
  ]);
  assert.equal(fields[2].value, "Ada");
});

test("what is typed becomes an address and a body", () => {
  const fields = fieldsOf(ROUTE, undefined);
  const { body, parameters } = valuesOf(fields, { 0: "7", 1: true, 2: "Ada", 3: "", 4: "0", 5: true, 6: '["a"]' });
  assert.deepEqual(body, { name: "Ada", tone: "warm", loud: true, tags: ["a"] });
  assert.equal(addressOf(ROUTE, parameters), "/people/7?deep=true");
  assert.throws(() => valuesOf(fields, { 2: "Ada", 6: "[" }), /tags is not JSON/);
});

test("an input that is no table is one field of JSON, and none is no body", () => {
  const list = fieldsOf({ method: "POST", path: "/", input: { type: "array" } }, [1]);
  assert.deepEqual(valuesOf(list, { 0: "[1, 2]" }).body, [1, 2]);
  assert.equal(valuesOf(fieldsOf({ method: "GET", path: "/" }, undefined), {}).body, undefined);
});

test("texts of a workflow are text in the form", () => {
  const html = formHtml(fieldsOf(ROUTE, { name: '"><script>alert(1)</script>' }));
  assert.ok(!html.includes("<script>"));
  assert.ok(!html.includes("<greet>"));
  for (const [, id] of html.matchAll(/<label for="([^"]+)"/g)) assert.ok(html.includes(`id="${id}"`));
});

test("routes are those of decorators", () => {
  const lines = ['@app.post("/")', "async def a(): ...", "  @router.get('/x/{id}', tags=[])", "# @app.get('/no')x", '@app.websocket("/ws")', '@app.delete(path="/y")'];
  const routes = declaredRoutes(lines);
  assert.deepEqual(routes, [{ line: 0, method: "POST", path: "/" }, { line: 2, method: "GET", path: "/x/{id}" }, { line: 5, method: "DELETE", path: "/y" }]);
  assert.equal(pickRoute(routes, { method: "GET", path: "/z" }), null);
  assert.equal(pickRoute(routes, undefined), routes[0]);
});
