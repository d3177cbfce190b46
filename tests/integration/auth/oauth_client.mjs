// A client of the runtime that knows its address only, by oauth4webapi: it finds the authorization server (RFC 9728), signs a
// person in with PKCE, and calls. Arguments: URL of /mcp, scope, redirect address, another audience. It prints `go URL`,
// reads where the person was led back to, then prints `done RESULT` for each line that it reads: a step to take.
import { createInterface } from "node:readline";
import * as oauth from "oauth4webapi";

const [mcp, scope, redirect, elsewhere] = process.argv.slice(2);
const loose = { [oauth.allowInsecureRequests]: true };
const client = { client_id: "public-client" };
const auth = oauth.None();
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const nextLine = async () => (await lines.next()).value;

const refused = await fetch(mcp, { method: "POST" });
const challenge = refused.headers.get("www-authenticate") ?? "";
const found = await oauth.resourceDiscoveryRequest(new URL(mcp), loose);
const resource = await oauth.processResourceDiscoveryResponse(new URL(mcp), found);
const issuer = new URL(resource.authorization_servers[0]);
const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, loose));

const verifier = oauth.generateRandomCodeVerifier();
const state = oauth.generateRandomState();
const url = new URL(server.authorization_endpoint);
const parameters = {
  client_id: client.client_id, redirect_uri: redirect, response_type: "code", scope, state, prompt: "consent",
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
};
for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
for (const audience of [resource.resource, elsewhere]) url.searchParams.append("resource", audience);
console.log(`go ${url}`);

const back = oauth.validateAuthResponse(server, client, new URL(await nextLine()), state);
const exchanged = await oauth.authorizationCodeGrantRequest(server, client, auth, back, redirect, verifier, {
  ...loose, additionalParameters: { resource: resource.resource },
});
let tokens = await oauth.processAuthorizationCodeResponse(server, client, exchanged);

const refresh = async (audience) => {
  const answer = await oauth.refreshTokenGrantRequest(server, client, auth, tokens.refresh_token, {
    ...loose, additionalParameters: { resource: audience },
  });
  const next = await oauth.processRefreshTokenResponse(server, client, answer);
  tokens = { refresh_token: tokens.refresh_token, ...next };
};
const call = async (method, path, body) => {
  const headers = new Headers({ "content-type": "application/json", accept: "application/json, text/event-stream" });
  try {
    const target = new URL(path, mcp);
    const answer = await oauth.protectedResourceRequest(tokens.access_token, method, target, headers, body, loose);
    await answer.body?.cancel();
    return answer.status;
  } catch (error) {
    // The client reads the challenge of a refusal by itself.
    if (error instanceof oauth.WWWAuthenticateChallengeError) return error.status;
    throw error;
  }
};
const hello = JSON.stringify({
  jsonrpc: "2.0", id: 1, method: "initialize",
  params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "independent", version: "1" } },
});
const steps = {
  found: async () => ({ refused: refused.status, challenge, resource, issuer: server.issuer }),
  mcp: () => call("POST", mcp, hello),
  list: () => call("GET", "/workflows"),
  write: () => call("POST", "/drafts", JSON.stringify({ code: "x = 1\n" })),
  administer: () => call("GET", "/keys"),
  refresh: async () => { await refresh(resource.resource); return 0; },
  elsewhere: async () => { await refresh(elsewhere); return 0; },
  end: async () => {
    const answer = await oauth.revocationRequest(server, client, auth, tokens.refresh_token, loose);
    await oauth.processRevocationResponse(answer);
    try { await refresh(resource.resource); } catch (error) { return error.error ?? error.code; }
    return 0;
  },
};
for (let step = await nextLine(); step; step = await nextLine()) console.log(`done ${JSON.stringify(await steps[step]())}`);
