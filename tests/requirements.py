"""Every promise, with its source: id → (source, one sentence of behaviour).

Sources: `seed` the document the project was made from; `wire` the wire contract of CodeWords clients; `mcp` the MCP
specification; `pep` a Python standard; `ours` what we promise beyond them.
A test claims ids with `@pytest.mark.requirement("area:id")`; tests/test_requirements.py holds both sides to it.
"""

from __future__ import annotations

_TABLE = """
deploy:failure-keeps-old | seed | A failed deploy leaves the old version serving.
deploy:input | seed | A deploy takes code or a template that exists, not both.
deploy:names | ours | Any printable name is taken and never becomes a path; one in use is a conflict.
deploy:no-op | ours | The same code as live changes nothing and says so.
deploy:public | seed | A public workflow runs for others, who cannot change it.
deploy:rollback | seed | A rollback is live at once.
deploy:versions | seed | Other code is a new immutable version.
manifest:asked-not-guessed | ours | What code does not tell is asked as such, with its line and how to declare it.
manifest:cli | ours | The command asks on a terminal; elsewhere it fails with what is asked and the command that agrees.
manifest:consent | ours | A version that may do more than the live one needs a person's yes to exactly that; the same or less passes.
manifest:consent-anywhere | ours | A question is answered and spent on any runtime of the database, and after a start anew; once.
manifest:consent-page | ours | A person agrees or declines on a one-time page, which only its own form can answer.
manifest:derived | ours | What a script may do is read right from its code and header, however it is written.
manifest:hosts | ours | A workflow reaches the hosts of its manifest only; a refusal is on record and names the fix.
manifest:legacy | ours | Versions of before there were manifests keep what they could do until the next deploy.
manifest:lines | ours | A manifest is at most ten bounded lines; what a person agrees to is whole.
manifest:mcp | ours | A deploy over MCP asks by form, page or text, and the model cannot say yes for the person.
manifest:never-fails | ours | Whatever parses has a manifest, in bounded work.
manifest:secrets | ours | The manifest says how each secret is held; a host rule brings its hosts.
manifest:services | ours | A workflow calls the services, models and workflows of its manifest only.
manifest:stored | ours | The manifest is stored with the version and shown with it.
manifest:widens | ours | Only what goes beyond the version before is asked.
house:layers | ours | The import contracts hold.
house:light-start | ours | The package and the front import no third-party code.
house:quick-runtime | ours | The runtime's process starts without what only some homes need: the line, a database driver.
house:sizes | ours | No module is longer than 500 lines.
replicas:any-answers | ours | Any runtime of a database answers for any run: record, result, live log, cancel.
replicas:database-away | ours | A database that crashes and comes back loses no run.
replicas:deployments | ours | What one runtime of a database deploys, revokes or stores holds for all at once.
replicas:files | ours | Runtimes of a database that share no folder share uploaded files through a bucket.
replicas:fence | ours | A runtime that could not say that it lives lets its runs go, and where it lives they go on.
replicas:rolling | ours | A runtime that is stopped in order hands over what it does not finish.
replicas:network-cut | ours | A runtime that is cut off its database for a moment goes on; for longer, the others go on with its runs and it serves again when it is back.
replicas:take-over | ours | The runs of a runtime that dies are gone on with by the others of its database.
store:postgres | ours | What holds for SQLite holds for PostgreSQL.
lists:pages | ours | Lists page through everything once; wrong cursors and limits are told.
logs:before-the-answer | ours | Whoever has the answer finds what was printed before it.
logs:bounded | ours | A log has a bound and ends in a line that says so; a line has one too.
logs:follow | wire | A log can be followed live, also before its run starts, and ends with it.
logs:levels | ours | Levels and structlog fields of lines are told, and lines can be asked for by level.
logs:order | wire | Times are fixed width, strictly rising, a millisecond apart at the least; `after` is exclusive.
runs:admission | seed | Over the limit runs queue in order; over the queue they are turned away with a time to come back.
runs:memory | seed | Runs start while memory of the machine is left, measured, not reserved; else they wait, then are turned away saying how much is missing.
runs:background | wire | A background run is awaited by its id.
runs:background-tasks | ours | Work after the answer gets its grace.
runs:big-answers | ours | An answer of 100 MB arrives whole and is kept in part.
runs:cancel | ours | A cancelled run's sandbox is gone and its caller told.
runs:egress-told | ours | A refused connection is told in the run's log.
runs:clock | ours | A clock that jumps ends no run, and no run ends before it began.
runs:crash-truth | ours | A background run that had begun when the runtime died is interrupted, or tried again as another attempt where its header asks; one that had not is started.
runs:cancel-takes | ours | A cancel takes whenever it comes: before the first step, on the way from the line, or where something swallowed it.
runs:cancel-family | ours | Cancelling a run cancels what it has started.
runs:depth | ours | A workflow that calls itself without end is stopped.
runs:durable | ours | An accepted background run survives kill -9 of the runtime.
runs:limits | ours | Limits of key, caller, workflow and home hold for all runs, over replicas too, fairly; a refusal and a waiting record say which.
runs:line | ours | Over the limit background runs wait in line, by priority, over restarts too; delayed ones wait for their time; too many are turned away.
runs:once | ours | A waiting run is carried out by one process only, and only that one writes to its record.
runs:retries | ours | A failed background run is tried again as often as its header says, never by default.
runs:usage | ours | What a run used is on record, and summed by SQL.
runs:times | ours | Waiting, starting and running are told apart by their times.
runs:environment | wire | The workflow sees PORT, SERVICE_ID, both names of the runtime's address and PYTHONHASHSEED=0.
runs:hang-up | ours | A caller that hangs up, before or during the answer, cancels the run.
runs:headers | wire | Ids reach the workflow; keys and hop-by-hop headers do not.
runs:idempotency | ours | An Idempotency-Key gives the first run.
runs:interrupted | ours | What a crash left in flight is recorded as interrupted, nothing else is.
runs:owners | ours | Another caller's ids are not found.
runs:program-errors | wire | A workflow's own error is its answer, marked as the service's; a program that dies is said to have.
runs:provisioned | wire | A provisioned id is for one run of its owner.
runs:record | wire | A run leaves a record with status, times, answer and attempts.
runs:run-key | wire | A run's key is valid only while the run lives and administers nothing.
runs:shutdown | ours | Stopping the runtime cancels what somebody waits for and interrupts what runs in the background, and says so.
runs:steps | wire | Steps announced in the log are kept with their time.
runs:storm | ours | Whatever process or connection is killed under load: each run ends, once; no sandbox and no read line of a log is lost track of.
runs:streaming | wire | An answer is streamed as it comes.
runs:sync | wire | A run answers with the workflow's status, headers and body.
runs:timeout | seed | A run past its time is ended, even one that ignores SIGTERM.
runs:websocket | wire | Websockets pass through with subprotocol and close code.
schedules:bad-input | ours | What cannot be scheduled is refused with a sentence, cron nonsense with a caret under it; a schedule of another owner is not found.
schedules:cron | seed | Five-field cron with zones, lists, ranges, steps, names and aliases.
schedules:daylight | ours | A skipped time comes after the gap, a doubled hour's once, intervals follow the real time.
schedules:exactly-once | ours | A time fires once, whatever the clock, the process or other replicas do.
schedules:missed | ours | A schedule says what it missed and makes up for none, the latest or all within a bound.
schedules:once | ours | A schedule for one time runs once.
schedules:overlap | ours | Where the run before goes on, a time is skipped, queued or run beside it.
schedules:pause | seed | A paused schedule starts nothing; a resumed one goes on with its next time.
schedules:runs | seed | A time that comes starts a run, with its input, that names its schedule.
schedules:service | wire | The service schedule_runs creates, lists, shows, pauses, resumes and deletes.
schedules:survive | ours | A schedule survives kill -9 and restarts, and keeps its runtime alive.
schedules:key | ours | Runs of a schedule keep to the models and budgets of the key that made it.
secrets:declared | seed | Declared secrets reach the workflow, undeclared ones do not.
secrets:scrubbed | ours | Values of secrets are scrubbed from logs, answers and records.
seed:examples | seed | The seed's four programs deploy letter for letter, with a note of what they forget.
seed:services | seed | The seed's website monitor and ticket analyzer run to their end, letter for letter; the monitor's second run finds the first one's snapshot.
services:not-here | ours | A library service that is not here is a platform error.
services:protocol | ours | Validation, descriptions, reference and resource of a service come from its operations; adding one is a module and a line.
services:outside | ours | Another package adds services by an entry point, and cannot break or replace ours.
services:addresses | ours | Services reach no private address, whatever it is written as, resolves to or is led on from; a workflow's own list holds for them.
services:caps | ours | What a service fetches is bounded in size, also unpacked, in time and in redirects.
services:credentials | ours | A missing credential is named, with how to get one, and nothing is asked.
services:values | wire | redis_coordinator keeps values by key with a time to live, in both spellings, each owner's apart; counting loses nothing.
services:redis | wire | With a Redis, redis_coordinator gives credentials that the published redis_client() works with, within a namespace.
services:firecrawl | seed | Pages come in Firecrawl's shape, also to Firecrawl's own client; with a key Firecrawl is asked.
services:mail | ours | Mail is sent by the home's server with texts and attachments, else kept in a visible outbox; no field adds a header; recipients are bounded.
services:github | ours | GitHub is searched through its pages; both kinds of its limits say when to come back; names lead nowhere else.
services:records | ours | A call of a service is a run: recorded, bounded in time, cancelled with its caller; private answers are not kept.
services:markdown | ours | Of a page what a reader wants is kept with its shape, the furniture goes, in any charset and however broken.
store:errors | ours | A full, damaged or newer database gives a sentence and loses nothing.
store:among-many | ours | What callers wait for reads as many rows as it gives among many runs, analyzed or not.
store:disk-full | ours | On a disk that is full nothing stored is lost or half-written, what is said is plain, and all goes on when there is room.
store:bounded | ours | Old runs, logs, files and environments go by policy, and the database gives their room back while it serves.
store:write-soon | ours | What is written soon is seen by the next read, in order; one failure spoils no other.
store:older | ours | A home of an older version opens, with everything in it.
store:migrations | ours | Migrations make exactly the tables that the code uses.
supply:instance-keys | ours | A shared program serves one key's runs, so that none asks or spends what its own key may not; its key acts for a run that goes on.
supply:instance | ours | Runs of a workflow that asks for it share a sandbox; one run's end does not end the others.
supply:ready | ours | A script that runs often finds sandboxes ready, each for one run, of its version and secrets.
runs:egress-recorded | ours | A run's record has its egress policy and what was reached.
egress:own-list | ours | A workflow that lists its hosts reaches no other.
templates:work | seed | Every template deploys and answers its example.

egress:runtime-reachable | wire | A sandbox reaches the runtime's own port.
egress:half-close | ours | An end of sending is passed on and the answer still comes.
egress:backpressure | ours | A reader that stops stops the sender; bytes arrive whole.
egress:failures-reset | ours | A failure behind the relay reaches the sandbox as a reset.
egress:close | ours | Closing, or a peer that is gone, leaves no connection and no task.
egress:bounded | ours | Connections, lookups, names and descriptors are bounded, each with a defined answer.
egress:transparent | ours | A program that knows no proxy gets out by the redirected path.
egress:connect-proxy | ours | CONNECT reaches an allowed destination and loses no early bytes.
egress:plain-proxy | ours | Absolute-form requests reach the origin in its own form, without proxy headers.
egress:host-alias | ours | The machine has a name inside, for allowed pairs only.
egress:private-refused | seed | No private, loopback, metadata or reserved address is reached.
egress:own-addresses | ours | The machine's own public addresses are refused.
egress:rebinding | ours | The address that was judged is the one dialled.
egress:unreachable | ours | What cannot be reached is answered 502 with the reason.
egress:none | ours | Without internet no name is looked up; allowed pairs work.
egress:malformed | ours | What is no proxy request gets a sentence.
egress:events | ours | Each attempt is an event; they are bounded.
egress:dns-fake | ours | A name has one address as long as the sandbox lives.
egress:dns-malformed | ours | No datagram breaks the responder.
secrets:at-rest | seed | Values are sealed; damage is noticed.
secrets:bound-to-owner | ours | A moved row does not open.
secrets:wrong-key | ours | A different master key is refused with the id needed.
secrets:master-key | ours | The master key is taken from the environment or a 0600 file, made once, never shown.
secrets:master-key-permissions | ours | An open key file is closed, and that is told.
secrets:master-key-lost | ours | Nothing is overwritten or remade while secrets depend on it.
secrets:names | ours | Bad names are refused with the reason and not repeated.
secrets:values | ours | Bad values are refused with the reason and not repeated.
secrets:scrub-forms | ours | Values are replaced in every usual form.
secrets:scrub-stream | ours | Chunks change nothing; only possible beginnings wait.
secrets:scrub-short | ours | Values under 6 characters are left alone.
secrets:scrub-json | ours | JSON stays JSON.
secrets:scrub-text | ours | Text survives.
secrets:entry-once | ours | A nonce is good once, for a while.
secrets:entry-anywhere | ours | A page that one runtime opened works on every runtime of the database, and after a start anew.
secrets:entry-sealed | ours | What is stored of a page's link tells neither its address nor what it is about.
secrets:entry-bounded | ours | Owners cannot crowd each other out.
secrets:rules | ours | A host rule names hosts and places; well-known names bring theirs; a value set again keeps its rule.
secrets:rotation | ours | Another master key encrypts everything; killed half-way, it is gone on with, and nothing is overwritten.
secrets:shared | ours | A secret that one runtime of a database sets, changes or deletes counts for the next run on every other.
secrets:shared-rotation | ours | On a shared database the key is changed once every runtime has it; one with another key does not start, and is told how.
secrets:keyring | ours | A new home keeps its key in the system's keyring where a real one exists; one that is lost is said plainly.
secrets:export | ours | Secrets are exported to a passphrase or an age key and imported; nothing there is overwritten.
secrets:two-writers | ours | Two writers at once leave one whole value.
rules:clients | ours | The usual clients trust the sandbox's authority, over HTTP/1.1 and HTTP/2, with large bodies and streams.
rules:end-to-end | ours | A secret with a host rule is used by a workflow that never has it, and the run's record says where it went.
rules:canary | ours | A value with a host rule is in no file, log, reply, environment or memory that a workflow or model can see.
rules:framing | ours | Requests that could be read in two ways, or name another host, do not go out.
rules:names | ours | An intercepted connection goes by the name that it was made to.
rules:placeholders | ours | A placeholder stands for the value at its hosts, by TLS, in its places and sandbox only; elsewhere it is refused and told.
rules:echo | ours | An echoed value does not come back: compressed, streamed, in headers.
rules:redirects | ours | A redirect to another host takes no value along, and is told.
rules:bad-hosts | ours | A host with a wrong certificate gets nothing; a program that does not accept ours is told.
rules:websockets | ours | A websocket opens with the value, and its messages do not show it.
rules:tunnel | ours | Hosts without a rule are tunnelled untouched.
rules:websocket-frames | ours | Frames of a websocket are read both ways, however they are cut; what is compressed or no frame ends it.
rules:inspect | ours | A workflow that asks for it has placeholders refused and told at hosts without a rule too, in what TLS hides.
recording:egress | ours | What passes the egress can be put to a recorder: every host, with TLS and without, bodies and streams with their times.
recording:gateway | ours | Calls of model providers are put to the same recorder.
recording:replay | ours | What was recorded is given again, without anything going out.
recording:hold | ours | What writes can be held: nothing goes out, and the workflow and the run's record are told.
recording:no-values | ours | A recorder never sees the value of a secret, nor a placeholder.
recording:bounded | ours | Long bodies pass whole, and are kept in part and not given again.
rules:e2b | ours | Host rules hold on E2B: no value is sent into a machine.
keys:form | wire | Kinds of keys are told apart by their prefix.
keys:hashed | ours | Only a hash of a key is kept.

client:run | wire | Runs by either keyword, with path, method, marks and JSON of common values.
client:background | wire | Handles, polling that repeats only while pending, a bounded timeout.
client:logs | wire | Entries in order, resumed after a break; 404 raises; print_logs works.
client:files | wire | Upload and download by links that carry no key.
client:errors | wire | 400 and above raises with the body's detail and origin.
client:correlation | wire | The correlation id goes down the chain.
client:settings | wire | Either client reads each address name, and a key never goes to an unnamed host.
client:service-ids | wire | Request ids are bound and echoed once.
client:service-errors | wire | Error bodies, Error-Origin: service, a trimmed traceback; the script's handlers win.
client:run-service | wire | run_service honours PORT and LOGLEVEL.
client:logger | wire | One JSON object a line.
client:provider-settings | wire | SDK defaults are whole or absent.
client:redis | wire | redis_client works with what it needs and says clearly what is missing.
client:sub-agent | wire | SubAgent works with what it needs and says clearly what is missing.
client:reply | seed | A reply is an httpx.Response and its JSON.
client:seed-methods | seed | The six methods of the seed, with attribute results.
client:unreachable | ours | An unreachable runtime: says what to start or set.
client:guide | ours | The guide's workflow runs.
compat:python-clients | wire | The unmodified clients from PyPI work.
compat:node-client | wire | The unmodified client from npm works.
compat:client-override | wire | Any pin gets our client; client = "pypi" gets the published one.
compat:run-key | wire | A run's key cannot store a secret.
compat:seed-programs | seed | The four programs run letter for letter.
compat:missing-service | ours | An absent service answers 501 with the platform's sentence, passed on.

workflows:header | pep | The header is read exactly; each mistake has its line and the fix.
workflows:parse | ours | Code that is not readable Python is refused with its place; a huge script without parsing.
workflows:declared | wire | Variables are defaults, required or connections; unknown keys are notes.
workflows:client | wire | Any client pin gets ours unless the header says pypi.
workflows:versions | seed | A script is its code letter for letter.
workflows:dialect | wire | The seed's spellings are notes, once each, never errors.
workflows:hash | seed | hash() in stored keys is a warning that names PYTHONHASHSEED.
workflows:app | seed | The FastAPI app is found without running the script.
workflows:look_steps | wire | STEPLOG steps are found in order.
workflows:repair | seed | A standard module used only in the main block is imported for the script, and the report says so.
workflows:lint | ours | What would crash fails with its place; what looks wrong is a warning.
workflows:leaks | seed | A hard-coded key fails with its place and fix, and is never repeated.
workflows:variables | ours | Missing or undeclared variables are warnings with the fix.
workflows:crash | ours | A crash at start names its exception, line and known fix.
workflows:report | seed | Every check has its line, also those not reached.
workflows:validate | seed | Checks run in order of cost; a wrong script is a result.
workflows:starts | ours | A script must start, listen and show its OpenAPI in a sandbox without network.
workflows:seed | seed | The seed's four programs validate.
workflows:templates | seed | Templates validate clean, need no account, and answer their example input.
environments:build | seed | An environment holds the locked packages and is built once.
environments:bytecode | ours | Packages come with linked bytecode.
environments:sandbox_paths | ours | No host path is in an environment.
environments:reasons | ours | A resolver failure is one sentence naming the package.
environments:python | ours | The Python asked for is found, or its absence told.
environments:join | ours | Simultaneous builds of one hash share or tolerate each other.
environments:atomic | ours | A cancelled or killed build leaves nothing half-used.
environments:collect | ours | Unused environments go, and come back with the same versions.
environments:storage | ours | A full disk or unwritable home is told; another disk works by copying.
environments:closed | ours | uv sees no credentials and no switches that change builds.

http:keys | wire | Every route but the open ones needs one valid key in any of its headers.
http:other-owners | ours | Another caller's ids look as if they did not exist.
http:run-keys | wire | A run's key calls, provisions and stores files, and administers nothing.
http:hosts | mcp | A foreign Host gets 421 and a foreign Origin 403, on every route.
http:cors | ours | Trusted origins may ask from a browser and read the answer; others are told nothing.
http:run | wire | A call passes method, path, query, body and headers both ways, with the run's id and the error's origin.
http:streaming | wire | Both directions stream without buffering.
http:hang-up | ours | A client that hangs up half-way cancels its run, queued or running.
http:too-busy | ours | Calls over the limit queue, then get 429 with Retry-After.
http:body-limit | ours | A body over the limit gets 413, declared or chunked.
http:library-services | ours | A library service that is not here gives a platform 501.
http:websocket | wire | Websockets pass both ways with subprotocol and close code; refusals come in the handshake.
http:result | wire | /result is 200 with the record once ended, 504 while pending; over 1000 is milliseconds.
http:logs | wire | Logs are live NDJSON, `after` is exclusive, they end with the run; SSE on request.
files:storage | ours | Uploaded files are whole or not there, in a folder or in a bucket, and storage that fails is told plainly.
http:files | wire | Files go up once and come down by signed links without a key.
http:workflows | seed | Validate, deploy, list, look at and roll back workflows.
http:progress | ours | With Accept NDJSON, progress lines come before the result or error.
http:bad-input | ours | A bad body or name gets a sentence; no secret is repeated.
http:errors | ours | Every answer has an id; unforeseen failures tell only that.
http:secret-page | ours | A value is typed on a one-time, sealed page that works on a phone.
http:openapi | ours | Every route is described and every described route is served.
http:mcp | wire | MCP answers on both paths, with or without slash, behind key and Host checks.
http:stop | ours | POST /stop answers, then tells the process; admin only.

mcp:loop | seed | A template is deployed, run and looked into.
mcp:deploy-answer | seed | A deploy gives id, version, URL, isolation, curl line and next call; unchanged code is said so.
mcp:repair | seed | Failing checks come with line, column and fix; a failing validation is a result.
mcp:run-failure | ours | A failed run is a result with its error and log.
mcp:workflows | seed | List, find, page, show and roll back.
mcp:resources | mcp | Workflow, run and log are read and listed.
mcp:completions | mcp | Ids are completed.
mcp:subscriptions | mcp | Run and log updates in both eras, only one's own, bounded.
mcp:list-changed | mcp | A deploy announces the changed list.
mcp:prompts | mcp | Both prompts work; bad ones are -32602.
mcp:schedules | seed | Workflows are scheduled, listed, paused and deleted; a run is cancelled.
mcp:secrets | seed | Names only, set and deleted.
mcp:secrets-by-page | mcp | URL elicitation in both eras, page and command otherwise.
mcp:arguments-not-echoed | ours | Bad arguments are named, values never repeated.
mcp:tool-strict | ours | Unknown arguments are refused.
mcp:error-words | ours | Code, sentence, hint.
mcp:error-masked | ours | Unforeseen errors become an id.
mcp:resource-not-found | mcp | -32602 with the uri.
mcp:outside-text | ours | Text from outside is cleaned, bounded, fenced and labelled.
mcp:long-run | ours | A long run answers with its id and the next call.
mcp:long-work | ours | Every answer comes within 45 s; the same call joins the work.
mcp:progress | mcp | Progress reaches the client.
mcp:cancellation | mcp | Cancelling reaches the deploy and the run.
mcp:callers | wire | Each request acts for its own key; a foreign session is 404; no caller is 401.
mcp:eras | mcp | Both protocol eras at one address.
mcp:announcement | mcp | Capabilities and instructions.
mcp:set-level | mcp | logging/setLevel is accepted.
mcp:cache-hints | mcp | Fixed lists are public, the caller's private.
mcp:header-blanks | mcp | Blanks around header values do not count.
mcp:many-at-once | ours | 50 concurrent calls.
mcp:logging-untouched | ours | Making a server leaves the root logger alone.
mcp:typescript-clients | mcp | The TypeScript clients of both generations work.
mcp:conformance | mcp | Every scored requirement of the protocol's conformance suite holds, in both eras.
mcp:inspector | mcp | The Inspector works.
mcp:bad-messages | ours | Malformed, huge, deep and mistyped messages get an answer in the protocol's words.
mcp:replicas | ours | What one replica sealed or asked is good at another, once.
mcp:vanishing | ours | A client that vanishes in any phase leaves nothing running.
mcp:thousand | ours | A thousand calls of one client at once are all answered.
mcp:injection | ours | What an author wrote about a published workflow is cleaned and bounded.
mcp:tool-snapshots | ours | A tool's schema changes only with its snapshot.
mcp:tool-order | mcp | The order of tools is fixed.
mcp:tool-names | ours | Names have at most 21 characters.
mcp:tool-annotations | mcp | Every tool has a title and annotations.
mcp:tool-tokens | ours | All tools cost at most 1,350 tokens, each at most 200.
mcp:instructions | ours | At most 150 tokens, the loop in order.

access:narrowed | ours | Headers, addresses and flags take tools away and never give; a toolset that is none is an error.
access:oauth | mcp | Access tokens of any issuer: clients find it by RFC 9728, and ask for further scopes where a call takes them.
access:scopes | ours | A key sees, calls and asks over HTTP what its scopes say, and no more.
access:tokens | mcp | A token is good for us only, of its issuer only and in its time only; its keys are kept and change.
access:toolsets | ours | A key of toolsets sees them alone, over MCP alone.
published:changes | mcp | What is published and taken back by another door is told to clients.
published:narrow | ours | A key of a published toolset runs its tools and nothing else; other owners see none.
published:refused | ours | A tool that cannot be is refused, its name and toolset included.
published:typed | ours | A published workflow is a tool with the schema and words of its route; a call is a run.

confirm:asks | ours | What destroys asks the person by a form in both eras, and a no is a no.
confirm:forged | ours | Answers to a question that was not put confirm nothing.
confirm:person | ours | The model cannot confirm for a person who can be asked.
confirm:token | ours | Where nobody can be asked, a second call needs a token, good once for the same arguments and caller.
confirm:which | ours | Every destroying tool asks, but for the end of a run; what cannot be done is not asked about.
tasks:asks | mcp | A task that needs a person's answer asks in the task and goes on with it.
tasks:bounded | ours | Beyond the most tasks at once, calls are answered without one.
tasks:cancel | mcp | Cancelling a task ends the run behind it; after its end it is nothing.
tasks:conformance | mcp | All 44 checks of the conformance suite for tasks hold.
tasks:declared | mcp | The extension is announced, and every tool that can take long may be a task.
tasks:killed | ours | A task goes on after a kill -9 and tells what became of its run, which is begun once.
tasks:long | mcp | A longer call is a task with its messages, poll interval, lifetime and result.
tasks:negotiated | mcp | Clients without the extension get an answer with a handle, and no task.
tasks:owner | mcp | A task is found by the key that began it only, and its header must name it.
tasks:quick | ours | A call that ends at once is answered as if there were no tasks.
tasks:replicas | ours | Another replica answers for a task and hands cancellations over.
tasks:restart | ours | A task survives a restart; a run is begun once; what may not be done twice is told.
skills:conformance | mcp | All checks of the conformance suite for skills hold.

gateway:sdks | seed | The newest and the oldest supported SDKs of each provider work unmodified, sync and async.
gateway:bytes | seed | Bodies, queries and answers cross unchanged.
gateway:streaming | seed | An answer is passed on as it comes.
gateway:hang-up | ours | A caller that hangs up, at any time, ends the call at the provider.
gateway:keys | wire | A CodeWords key is taken in each provider's own header.
gateway:provider-key | seed | The provider's key comes from the home's secrets or the environment; without one the answer says how to add it.
gateway:errors | ours | The provider's errors pass unchanged, ours have its shape, and only what may help is repeated.
gateway:routes | wire | Each mount and path leads to one address; ambiguous ones are refused.
gateway:uploads | ours | A resumable upload goes through, and its second leg only with its ticket.
gateway:sandbox | seed | A workflow reaches providers with its run's key; no provider's key enters its sandbox.
gateway:metering | seed | Tokens are counted exactly as the provider tells them, in streams and plain answers, without changing a byte.
gateway:prices | ours | Costs are those of genai-prices to the picodollar; a person's own prices and aliases come first.
gateway:compressed | ours | A compressed answer is read for its usage, in bounded pieces, while its bytes pass unchanged.
gateway:bad-usage | ours | Usage that is absent, wrong or told twice is estimated and marked, or counted once.
gateway:attribution | seed | A call is counted on its run, the runs above it, the workflow, the key and the day.
gateway:budgets | seed | No budget of a call, run, workflow, key, day or home is crossed, on any route, whatever comes at once; refusals say what would fit and no SDK repeats them.
gateway:shared-budgets | ours | Replicas on one database keep a budget together, and settle what one that died had reserved.
gateway:cache | ours | Answers are kept only where asked for, whole ones only, given back byte for byte at no cost, and marked.
gateway:wire | ours | What a provider sends is read to its end, or told as broken off; connections are kept only where that is safe; TLS and proxies work.
gateway:telemetry | ours | Where the OTEL_* variables say so, each call is a span and in the metrics by the GenAI conventions, without a word of it.
gateway:trace-content | seed | Prompts and replies are in telemetry only where a workflow or the standard variable asks for them, in one shape, without files, within bounds.
gateway:rates | seed | Calls over a provider's or a key's rate wait, those that wait take turns, and the provider's own 429 is honoured.
gateway:reservations-survive | seed | What a killed runtime had reserved is settled at the next start.
gateway:retries | ours | A call is made again only before the first byte, where its provider's rules and safety allow, boundedly, reserved and billed once.
gateway:fallbacks | ours | Another model answers only where a person named it, of the same provider in native form, and the record says so.
gateway:circuits | ours | What keeps failing is left alone for a while, then tried once; who asks is told for how long.
gateway:timeouts | ours | Connecting, the first byte, each further piece and the whole have their own time.
gateway:several-keys | ours | A provider's keys take turns; one that is refused rests, and what is stored at a provider stays with one account.
gateway:model-lists | ours | Keys and workflows ask the models of their lists only, however a run begins; refusals have the provider's shape.
gateway:unreachable | ours | A provider out of reach or silent is told in its own shape, for SDKs to repeat.
models:simple-form | seed | A prompt gives text or JSON of the shape asked for, mended once, with usage and cost; errors say what to do.

front:options | ours | Options narrow what the host sees; whatever is not understood refuses to start.
front:both-eras | mcp | Lists and calls tools in both eras; discover-then-initialize works.
front:cancellation | mcp | A cancelled call ends in the runtime and gets no result.
front:concurrent | ours | A waiting call holds no other up, and each gets its own answer.
front:streams-messages | mcp | Progress arrives before the answer, in order.
front:server-asks | mcp | The runtime's requests reach the host, and its answers the runtime.
front:listening-stream | mcp | Unasked messages and subscriptions reach the host.
front:modern-headers | mcp | Headers match the SDK's own check and encoding.
front:malformed-lines | mcp | A bad line gets a JSON-RPC error and the next is served.
front:errors-pass | mcp | The runtime's refusal passes with the request's id.
front:stdout-is-protocol | mcp | stdout carries only JSON-RPC.
front:ends-with-stdin | ours | EOF lets calls finish and exits 0; signals end at once.
front:unknown-option | ours | An unknown option is refused with a sentence.
front:version | ours | The version is told without starting a runtime.
front:starts-fast | ours | The front imports nothing heavy.
front:one-runtime | ours | Fronts that start at once share one runtime.
front:runtime-outlives | ours | Killing the front leaves the runtime and no zombie.
front:start-fails | ours | A failed start is an error with its reason, no hang.
front:idle-end | ours | An idled-out runtime is restarted in silence.
front:crash-restart | ours | The next call after a crash is carried out by a new runtime.
front:crash-note | ours | It says so once.
front:crash-in-flight | ours | A call in flight gets an error that says what happened and how to go on.
front:session-again | ours | A lost session is made again unseen, with its log level.
front:version-mismatch | ours | An older idle runtime is replaced; otherwise it is said.
front:remote | ours | A remote runtime is used, nothing is started, and a wrong key or address is said.
home:folder | ours | The same folder as platformdirs and Settings.
home:runtime-json | ours | 0600, only for a living runtime.
home:one-runtime | ours | A home is held once; the refusal names pid and url.
home:crash-known | ours | It is known whether the last runtime ended in order.
home:stale-runtime-json | ours | Garbage, dead or reused pids deceive nobody and get no key.
home:unusable | ours | An unwritable home is said with the fix.
home:survives-crash | ours | Deployments, versions, runs and logs survive kill -9.
runs:interrupted-by-crash | ours | A run in flight becomes interrupted.
serve:ends-in-order | ours | Signals, stop and a second Ctrl-C.
serve:port-taken | ours | The foreground exits 2; a detached runtime takes a free port.
serve:loopback-by-default | ours | Another address than loopback without a key is refused.
serve:log-without-keys | ours | The log is JSON lines without keys.

cli:exit-codes | ours | The exit code says whether workflow, typing or platform is at fault.
cli:errors-on-stderr | ours | Failures are `error:` and `hint:` on stderr; stdout stays clean.
cli:json-only-stdout | ours | With --json stdout is JSON and nothing else, failures too.
cli:plain-when-piped | ours | No colour or spinner in a pipe or with NO_COLOR.
cli:no-control-chars | ours | Text from outside cannot move a person's cursor.
cli:quick-start | ours | The command tree loads no heavy package.
cli:starts-runtime | ours | A command starts the home's runtime when none runs.
cli:remote | ours | A remote runtime is used, and nothing is started.
cli:validate | seed | Checks are shown with file:line:column and fix.
cli:deploy | seed | A file or template goes live; same name is a new version, same code changes nothing.
cli:rollback | seed | An earlier version is live at once.
cli:run | seed | Input from JSON, @file or stdin; the answer is passed on byte for byte.
cli:run-async | ours | The id is printed at once.
cli:run-timeout | ours | A run past --timeout is cancelled.
cli:run-cancel | ours | Ctrl-C cancels the run.
cli:logs | seed | Finished and live logs; Ctrl-C only stops the printing.
cli:runs | wire | Items carry id, serviceId, status, createdAt, newest first.
cli:list | seed | Deployed workflows are listed.
cli:show | ours | One workflow's address, routes, versions and code.
cli:templates | seed | Templates are listed.
cli:cancel | ours | A run in the background can be cancelled.
cli:backup | ours | A backup taken while serving restores everything elsewhere; nothing is overwritten, and no other file is taken for one.
cli:usage | ours | Usage is summed by workflow, key and day, as a table, JSON and CSV.
cli:schedules | seed | Schedules are made, listed, shown, paused, resumed and deleted.
cli:budget | seed | Budgets are set, listed with what is spent, and removed.
cli:costs | seed | What model calls used and cost is shown by day, workflow, key, run or model.
cli:secrets | seed | Secrets are set, listed by name and deleted.
cli:secret-never-argument | ours | A value as an argument is refused and not repeated.
cli:secret-prompt-hidden | ours | A typed value is not shown.
cli:keys | ours | A key is printed once, is usable elsewhere, and can be revoked.
cli:doctor-plain | ours | `doctor` names the workflows that can read a secret, since it has no host rule; validation says it too.
cli:doctor | ours | Says whether workflows can run here and why.
cli:stop | ours | Ends the runtime, or says that none ran.
install:hosts | ours | Each chat host's file gets what that host reads; an undo brings the file back, or takes only ours out.
install:untouched | ours | Comments and everything else in a person's configuration stay as they are.
install:command | ours | The difference is shown and nothing is written without a yes; scripts get JSON.
packaging:versions | ours | The wheel, the bundle and the registry's entry say one version.
packaging:settings | ours | What can be filled in before installing are variables that the product reads, keys hidden.
packaging:registry | ours | The registry's entry fits its limits, and the README claims its name.
packaging:wheel | ours | The wheel alone is enough: the client's wheel and every file that is no code are in it.
packaging:bundle | ours | The bundle is valid by its official tool, and started as a host starts it deploys and runs a workflow.
packaging:container | ours | The image's build gets all that it needs; the compose file sets what the product reads.
demo:steps | ours | Every step's result is checked; fits 80 columns.
demo:json | ours | --json prints one object with every step's outcome.
demo:url-outlives | ours | The printed curl line works after the demo.
demo:failure | ours | A failed step is named with what to do, exit 1.
docs:snippets-run | ours | Every runnable block runs and prints what the page says.
docs:reference-complete | ours | Every command, setting, error, tool and route is in the reference.
docs:reference-current | ours | The generated tables equal the code.
docs:attacks | ours | The page of attacks has every probe, seen as both users.
docs:links | ours | Every link leads somewhere, every page is in the index.
docs:example-config | ours | The example config names our program and equals the guide's.

sandbox:serve | seed | A workflow is reached however it starts its server: uvicorn any way, or a TCP server on PORT, also on 127.0.0.1 only.
sandbox:script | ours | The script is a real __main__ at /app/main.py, as Python itself runs it.
sandbox:environment | wire | A program's environment is the spec's and the driver's few names, nothing of the host's.
sandbox:failing-program | ours | A program that exits, crashes, never listens or listens elsewhere is told so in a sentence.
sandbox:kill | ours | Killing or cancelling works in every phase, repeatedly, and leaves nothing.
sandbox:limits | seed | A program over its memory, disk, file or process limit is stopped or refused, and the runtime goes on.
sandbox:output | ours | Output streams with backpressure, complete and without growing the runtime.
sandbox:usage | ours | A sandbox tells wall time, CPU and peak memory.
sandbox:isolation | seed | A hostile program finds nothing of the host and cannot break out.
sandbox:network | ours | What leaves a sandbox goes through sockets handed to the runtime; without a network there is no way out.
sandbox:cleanup | ours | However a sandbox or the runtime ends, no process is left, and files and cgroups go, at the latest with the next start.
sandbox:concurrency | seed | A hundred sandboxes start at once and all answer.
sandbox:tier | ours | A tier counts only where a self-test's forbidden acts fail; otherwise it is refused with the fix.
sandbox:process | ours | The development driver keeps the protocol and says that it isolates nothing.
sandbox:ordinary-user | ours | What holds for root holds for an ordinary user.
sandbox:conformance | ours | The drivers pass the conformance suite where they claim the capability.
sandbox:suite | ours | The suite finds faults that are planted in a driver.
sandbox:hostile-import | ours | A package that misbehaves when it is imported costs its environment the fork server, and nothing else.
sandbox:killed-in-each-phase | ours | A runtime killed in any phase of a sandbox leaves nothing once the next one has started.
attacks:held | seed | Hostile programs get nothing, as root and as an ordinary user, while the host answers and other workflows go on.
attacks:true | ours | The probes are true attacks: without a sandbox they succeed.
attacks:catalogue | ours | Each probe says what it tries, why it matters and what has to come of it.
e2b:conformance | ours | The E2B driver passes the conformance suite in machines of the loopback E2B, with the real SDK.
e2b:sdk-verbs | ours | The loopback E2B answers the unmodified SDK as E2B does.
e2b:versions | ours | The oldest supported, the pinned and the newest SDK work.
e2b:urls | ours | E2B is reached by plain URLs and by its production URLs, through a proxy with a private authority.
e2b:round-trips | ours | A cold start that answers a request takes three round trips at the most, a warm request one.
e2b:spares | ours | Spare sandboxes start programs at once, are replaced, and end when nobody wants them.
e2b:pause | ours | An idle sandbox is paused and resumed by the next request, its memory as it was; a paused one costs nothing.
e2b:lease | ours | A living runtime renews its sandboxes; one that is killed, in whatever phase, leaves nothing past their time.
e2b:orphans | ours | Sandboxes of this home that nobody has are found and ended; those of others are left alone.
e2b:private | ours | A machine is reached with its traffic token only, and a program's session by its host only.
e2b:egress | ours | The runtime's egress policy holds on E2B, also as E2B's own rules, and what was reached is in the run's record.
e2b:usage | ours | A run's usage says what its machine cost, by the second, without the time it was paused.
e2b:pace | ours | Sandboxes are made within the account's rate and number; E2B's refusals are waited out for a bounded time.
e2b:errors | ours | Whatever E2B or its SDK answers becomes an error of ours that says what to do.
e2b:dying | ours | A machine that dies in any phase is a failed sandbox, said at once, and leaves nothing.
e2b:reconnect | ours | A connection that breaks is made again; output and requests go on.
e2b:lazy | ours | The SDK is imported only where sandboxes are on E2B, and its absence is said with the fix.
e2b:build-template | ours | One command builds the template that programs run in, and says what went wrong where it cannot.
e2b:clean | ours | One command ends what a home left on E2B, and removes its environments there.
e2b:doctor | ours | doctor says whether key, template and sandboxes of E2B work, and the fix.
e2b:live | ours | A smoke test against E2B itself is one command for whoever has a key.
e2b:runtime | seed | A whole runtime deploys and runs workflows on E2B, with their logs, secrets, calls back and cost.
integrations:accounts | ours | Of several accounts the newest healthy one is used, any can be named, and each owner has their own only.
integrations:broker | seed | Integrations of a broker are found, described, connected and run over HTTP.
integrations:catalogue | ours | The catalogue of the project is read page by page, kept in the store, and read anew when it is old.
integrations:cli | ours | A terminal finds, shows, connects and calls integrations, and lists and removes connections.
integrations:client | seed | Our client discovers and uses integrations with the seed's own calls; published ones do unmodified.
integrations:connect | seed | An app that is not connected has a page of this runtime that leads a person to the broker and back.
integrations:errors | ours | A failure is told by status, then the answer's error, then what the action threw; its words are data.
integrations:gone | ours | An action that exists no longer is told with the nearest, and nothing is run.
integrations:granted | ours | A workflow uses the apps that it declares and the actions of its manifest only.
integrations:host-rule | ours | A token goes to the hosts of its rule only, also from the runtime.
integrations:limits | ours | A broker without time is waited for a little; a longer wait is told in seconds.
integrations:names | seed | A name is run where it certainly means an action; otherwise the nearest five are named.
integrations:native | seed | Well-known apps are used without a broker, with the caller's own tokens.
integrations:once | ours | An action is never run twice; what changes nothing is asked again where the broker breaks.
integrations:oracle | ours | The broker's own SDK and our client get the same answers.
integrations:patterns | seed | The seed's patterns of Google Sheets and Airtable work.
integrations:props | ours | Wrong and missing fields are named, with how they are found, before anything is run, and never a value.
integrations:revoked | ours | An account whose access has ended is told as such, with the way to connect it again.
integrations:run | seed | An action is run with its account, defaults and dynamic fields put in.
integrations:schema | ours | An action is described with its fields, those that depend on others, and the values that the app tells.
integrations:search | seed | A question in plain words finds the right app and action among the first three.
integrations:service | seed | The service pipedream answers in the seed's dialect and the public one.
integrations:token | ours | One token of the broker serves many calls, is replaced when withdrawn, and refused credentials are said.
integrations:tools | ours | A model searches, looks, connects and calls; what changes something needs the person's yes to exactly that.
integrations:unconfigured | ours | Without a project a search answers from popular apps and says what to configure.
integrations:validation | seed | A declared app passes validation only where it is connected, and says how where not.
sandbox:http | ours | The client frames requests by HTTP, and bad answers are the program's failure.
"""


def _parse(table: str) -> dict[str, tuple[str, str]]:
    rows = (line.split(" | ", 2) for line in table.splitlines() if line)
    return {one: (source, sentence) for one, source, sentence in rows}


REQUIREMENTS = _parse(_TABLE)
