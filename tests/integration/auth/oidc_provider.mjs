// A certified OpenID Connect provider on loopback. Prints its port; `PUT /groups/LOGIN` sets the groups of a login,
// `PUT /keys` makes new keys. A public client may ask for access tokens of one audience, or of any other by its name.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import Provider from "oidc-provider";

const [client, secret, redirect, publicRedirect, audience] = process.argv.slice(2);
const groups = new Map();
const server = createServer();

// What is stored outlives new keys, as in a database.
const stored = new Map();
class Adapter {
  constructor(model) { this.model = model; }
  #all(test) { return [...stored].filter(([key, value]) => key.startsWith(`${this.model}:`) && test(value)); }
  async upsert(id, payload) { stored.set(`${this.model}:${id}`, { ...payload }); }
  async find(id) { return stored.get(`${this.model}:${id}`); }
  async findByUid(uid) { return this.#all((value) => value.uid === uid)[0]?.[1]; }
  async findByUserCode() { return undefined; }
  async consume(id) { stored.get(`${this.model}:${id}`).consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { stored.delete(`${this.model}:${id}`); }
  async revokeByGrantId(grant) { for (const [key] of this.#all((value) => value.grantId === grant)) stored.delete(key); }
}

const newKey = () => {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), kid: `key-${Date.now()}-${Math.random()}`, use: "sig", alg: "RS256" };
};
const publicClient = () => ({
  client_id: "public-client", token_endpoint_auth_method: "none", application_type: "native",
  redirect_uris: [publicRedirect], grant_types: ["authorization_code", "refresh_token"], response_types: ["code"],
});
const makeProvider = (port) => new Provider(`http://127.0.0.1:${port}`, {
  adapter: Adapter,
  clients: [
    { client_id: client, client_secret: secret, redirect_uris: [redirect] }, ...(publicRedirect ? [publicClient()] : []),
  ],
  claims: { openid: ["sub"], profile: ["preferred_username", "groups"] },
  cookies: { keys: ["of the tests"] },
  jwks: { keys: [newKey()] },
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id, groups: groups.get(id) ?? [] }),
  }),
  pkce: { required: () => true },
  features: {
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: Boolean(audience),
      getResourceServerInfo: (_context, resource) => ({
        audience: resource, scope: "read run write", accessTokenFormat: "jwt", accessTokenTTL: 600, jwt: { sign: { alg: "RS256" } },
      }),
      useGrantedResource: () => true,
    },
  },
  issueRefreshToken: () => true,
});

server.listen(0, "127.0.0.1", () => {
  const { port } = server.address();
  let answer = makeProvider(port).callback();
  server.on("request", (request, response) => {
    if (request.url === "/keys" && request.method === "PUT") {
      answer = makeProvider(port).callback();
      return response.end();
    }
    if (!request.url.startsWith("/groups/")) return answer(request, response);
    let body = "";
    request.on("data", (piece) => { body += piece; });
    request.on("end", () => { groups.set(request.url.slice("/groups/".length), JSON.parse(body)); response.end(); });
  });
  console.log(`port ${port}`);
});
