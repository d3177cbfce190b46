// A certified OpenID Connect provider on loopback. Prints its port; `PUT /groups/LOGIN` sets the groups of a login.
import { createServer } from "node:http";
import Provider from "oidc-provider";

const [client, secret, redirect] = process.argv.slice(2);
const groups = new Map();
const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [{ client_id: client, client_secret: secret, redirect_uris: [redirect] }],
    claims: { openid: ["sub"], profile: ["preferred_username", "groups"] },
    cookies: { keys: ["of the tests"] },
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({ sub: id, preferred_username: id, groups: groups.get(id) ?? [] }),
    }),
    pkce: { required: () => true },
  });
  const answer = provider.callback();
  server.on("request", (request, response) => {
    if (!request.url.startsWith("/groups/")) return answer(request, response);
    let body = "";
    request.on("data", (piece) => { body += piece; });
    request.on("end", () => { groups.set(request.url.slice("/groups/".length), JSON.parse(body)); response.end(); });
  });
  console.log(`port ${port}`);
});
