// One walk through the door with a TypeScript client, printed as JSON: argv is [which client, url, key].
const [which, url, key] = process.argv.slice(2);

async function connected() {
  const info = {name: 'walk', version: '1'};
  const options = {requestInit: {headers: {Authorization: `Bearer ${key}`}}};
  if (which === 'sdk-1') {
    const {Client} = await import('@modelcontextprotocol/sdk/client/index.js');
    const {StreamableHTTPClientTransport} = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
    const client = new Client(info);
    await client.connect(new StreamableHTTPClientTransport(new URL(url), options));
    return client;
  }
  const {Client, StreamableHTTPClientTransport} = await import('@modelcontextprotocol/client');
  const mode = which === 'client-2-auto' ? 'auto' : 'legacy';
  const client = new Client(info, {versionNegotiation: {mode}});
  await client.connect(new StreamableHTTPClientTransport(new URL(url), options));
  return client;
}

const client = await connected();
const call = (name, args, options) =>
  which === 'sdk-1' ? client.callTool({name, arguments: args}, undefined, options) : client.callTool({name, arguments: args}, options);
const out = {version: client.getNegotiatedProtocolVersion?.(), instructions: client.getInstructions()};
out.tools = (await client.listTools()).tools.map(tool => tool.name);
const progress = [];
out.deployed = await call('deploy_workflow', {code: "print('hi')", name: 'greeting'}, {onprogress: p => progress.push(p.message)});
out.progress = progress;
const workflow_id = out.deployed.structuredContent.workflow_id;
out.ran = await call('run_workflow', {workflow_id, input: {name: 'Ada', nothing: null}});
const run_id = out.ran.structuredContent.run_id;
out.looked = await call('get_run', {run_id});
out.workflow = await call('get_workflow', {workflow_id, include_code: true});
out.listed = await call('list_workflows', {});
out.templates = await call('list_templates', {template_id: 'greeting'});
out.validated = await call('validate_workflow', {code: 'broken'});
out.refused = await call('deploy_workflow', {code: 'broken'});
out.secret = await call('set_secret', {name: 'STRIPE_API_KEY'});
out.secrets = await call('list_secrets', {});
out.rolled = await call('rollback_workflow', {workflow_id, version: 1});
out.resources = (await client.listResources()).resources.map(resource => resource.uri);
out.record = JSON.parse((await client.readResource({uri: `run://${run_id}`})).contents[0].text);
out.missing = await client.readResource({uri: 'run://nobody'}).then(() => null, error => error.code);
out.prompt = (await client.getPrompt({name: 'build_workflow', arguments: {description: 'greet'}})).messages.length;
const ref = {type: 'ref/resource', uri: 'run://{run_id}'};
out.completed = (await client.complete({ref, argument: {name: 'run_id', value: ''}})).completion.values;
await client.close();
console.log(JSON.stringify(out));
