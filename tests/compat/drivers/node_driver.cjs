// Runs beside a published @codewords/client: does one thing after another and prints what it saw, as JSON.
// Usage: node node_driver.cjs MODULES_FOLDER SERVICE_ID, with the runtime in the environment.
const { createRequire } = require("node:module");
const path = require("node:path");
const [folder, service] = process.argv.slice(2);
const { createServiceClient } = createRequire(path.join(folder, "package.json"))("@codewords/client");

const key = process.env.CODEWORDS_API_KEY;
const uri = process.env.CODEWORDS_RUNTIME_URI;
const name = { name: "Ada" };
const steps = {};

async function collect(generator) {
  const items = [];
  for await (const item of generator) items.push(item);
  return items;
}

async function attempt(label, act) {
  const client = createServiceClient(key, undefined, uri);
  try {
    steps[label] = await act(client);
  } catch (error) {
    steps[label] = { raised: error.name, says: error.message, status: error.response?.status };
  }
}

async function main() {
  await attempt("run", (client) => client.runService(service, "", name));
  await attempt("run_path_with_query", (client) => client.runService(service, "query", name, "page=2"));
  await attempt("run_path_with_slash", (client) => client.runService(service, "/query", name, "page=2"));
  await attempt("refused", (client) => client.runService(service, "", { name: 3 }));
  await attempt("provisioned", async (client) => {
    const { request_id } = await client.provisionRequest();
    const answer = await client.runService(service, "", name, undefined, true);
    const logs = await collect(client.streamLogs());
    return { request_id, answer, logs: logs.map((line) => JSON.parse(line)), details: await client.getRequestDetails() };
  });
  await attempt("background", async (client) => {
    const request_id = await client.runAsync(service, "slowly", name);
    return { request_id, record: await client.pollResult(60000) };
  });
  await attempt("background_without_a_time", async (client) => {
    await client.runAsync(service, "slowly", name);
    return await client.pollResult();
  });
  await attempt("live_logs", async (client) => {
    await client.runAsync(service, "slowly", name);
    return (await collect(client.streamLogs())).map((line) => JSON.parse(line).message);
  });
  await attempt("upload", async (client) => {
    const link = await client.uploadFileAndGetUrl("notes 1.txt", Buffer.from("some bytes"), "text/plain");
    const answer = await fetch(link);
    return { link, status: answer.status, text: await answer.text() };
  });
  await attempt("stream", async (client) => {
    await client.provisionRequest();
    return await collect(client.runServiceStream(service, name, "events"));
  });
  console.log("RESULT " + JSON.stringify(steps));
}

main();
