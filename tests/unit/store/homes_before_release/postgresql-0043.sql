SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE TABLE public.agreements (
    owner character varying(64) NOT NULL,
    workflow_id character varying(80) NOT NULL,
    digest character varying(64) NOT NULL,
    manifest json NOT NULL,
    agreed_at bigint NOT NULL
);
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.browsers (
    owner character varying(64) NOT NULL,
    hash character varying(64) NOT NULL,
    name character varying(120) NOT NULL,
    version character varying(32) NOT NULL,
    url character varying(300) NOT NULL,
    paired_at bigint NOT NULL,
    seen_at bigint NOT NULL,
    executor character varying(32)
);
CREATE TABLE public.budget_accounts (
    id character varying(110) NOT NULL,
    since character varying(10) NOT NULL,
    spent bigint NOT NULL,
    reserved bigint NOT NULL
);
CREATE TABLE public.budgets (
    scope character varying(16) NOT NULL,
    subject character varying(80) NOT NULL,
    period character varying(8) NOT NULL,
    amount bigint NOT NULL,
    updated_at bigint NOT NULL
);
CREATE TABLE public.drafts (
    id character varying(40) NOT NULL,
    owner character varying(64) NOT NULL,
    name character varying(200) NOT NULL,
    code text NOT NULL,
    revision integer NOT NULL,
    workflow_id character varying(80),
    base_version integer,
    asked character varying(64),
    facts json NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    expires_at bigint NOT NULL
);
CREATE TABLE public.executors (
    id character varying(32) NOT NULL,
    version character varying(32) NOT NULL,
    started_at bigint NOT NULL,
    seen_at bigint NOT NULL,
    key_ids json
);
CREATE TABLE public.files (
    id character varying(32) NOT NULL,
    owner character varying(64) NOT NULL,
    filename character varying(255) NOT NULL,
    content_type character varying(255),
    size bigint,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    stored_as character varying(64),
    maker character varying(80)
);
CREATE TABLE public.integrations (
    project character varying(100) NOT NULL,
    kind character varying(8) NOT NULL,
    key character varying(200) NOT NULL,
    read_at bigint NOT NULL,
    data json NOT NULL
);
CREATE TABLE public.key_use (
    id integer NOT NULL,
    key_id character varying(32) NOT NULL
);
CREATE TABLE public.keys (
    id character varying(32) NOT NULL,
    hash character varying(64) NOT NULL,
    prefix character varying(16) NOT NULL,
    owner character varying(64) NOT NULL,
    kind character varying(16) NOT NULL,
    one_time boolean NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    used_at bigint,
    revoked boolean NOT NULL,
    models json,
    scopes json,
    toolsets json
);
CREATE TABLE public.links (
    id character varying(64) NOT NULL,
    kind character varying(16) NOT NULL,
    owner character varying(64) NOT NULL,
    subject character varying(64) NOT NULL,
    key_id character varying(32) NOT NULL,
    sealed bytea NOT NULL,
    answer character varying(16),
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL
);
CREATE TABLE public.log_chunks (
    run_id character varying(40) NOT NULL,
    first_seq integer NOT NULL,
    lines integer NOT NULL,
    body text NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='2000', autovacuum_analyze_scale_factor='0.02', autovacuum_vacuum_insert_scale_factor='0.05');
CREATE TABLE public.login_sessions (
    id character varying(64) NOT NULL,
    owner character varying(64) NOT NULL,
    app character varying(80) NOT NULL,
    email character varying(320) NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL
);
CREATE TABLE public.logins (
    id character varying(64) NOT NULL,
    owner character varying(64) NOT NULL,
    app character varying(80) NOT NULL,
    email character varying(320) NOT NULL,
    code character varying(64),
    link character varying(64),
    ticket character varying(64),
    title character varying(100) NOT NULL,
    return_url text NOT NULL,
    session_seconds integer NOT NULL,
    tries integer NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL
);
CREATE TABLE public.marks (
    id character varying(64) NOT NULL,
    number bigint NOT NULL,
    at timestamp with time zone NOT NULL
);
CREATE TABLE public.meta (
    name character varying(64) NOT NULL,
    value text NOT NULL
);
CREATE TABLE public.model_reservations (
    id character varying(40) NOT NULL,
    opened_at bigint NOT NULL,
    accounts json NOT NULL,
    amount bigint NOT NULL,
    executor character varying(32),
    budgets json
);
CREATE TABLE public.model_usage (
    id character varying(40) NOT NULL,
    day character varying(10) NOT NULL,
    owner character varying(64) NOT NULL,
    service_id character varying(80) NOT NULL,
    key_id character varying(32) NOT NULL,
    run_id character varying(40) NOT NULL,
    nested boolean NOT NULL,
    provider character varying(16) NOT NULL,
    model character varying(200) NOT NULL,
    calls bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cache_read_tokens bigint NOT NULL,
    cache_write_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    audio_tokens bigint NOT NULL,
    image_tokens bigint NOT NULL,
    cost bigint NOT NULL,
    estimated bigint NOT NULL,
    unpriced bigint NOT NULL,
    fallbacks bigint DEFAULT '0'::bigint NOT NULL,
    cached bigint DEFAULT '0'::bigint NOT NULL,
    summed boolean
);
CREATE TABLE public.model_usage_days (
    dimension character varying(8) NOT NULL,
    subject character varying(220) NOT NULL,
    owner character varying(64) NOT NULL,
    day character varying(10) NOT NULL,
    by_run boolean NOT NULL,
    calls bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cache_read_tokens bigint NOT NULL,
    cache_write_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    audio_tokens bigint NOT NULL,
    image_tokens bigint NOT NULL,
    cost bigint NOT NULL,
    estimated bigint NOT NULL,
    unpriced bigint NOT NULL,
    fallbacks bigint NOT NULL,
    cached bigint NOT NULL
);
CREATE TABLE public.outbox (
    id character varying(40) NOT NULL,
    owner character varying(64) NOT NULL,
    run_id character varying(40) NOT NULL,
    created_at bigint NOT NULL,
    recipients json NOT NULL,
    subject text NOT NULL,
    message text NOT NULL
);
CREATE TABLE public.published (
    owner character varying(64) NOT NULL,
    tool character varying(64) NOT NULL,
    workflow_id character varying(80) NOT NULL,
    toolset character varying(32) NOT NULL,
    route character varying(200) NOT NULL,
    method character varying(8) NOT NULL,
    read_only boolean NOT NULL,
    created_at bigint NOT NULL
);
CREATE TABLE public.run_requests (
    run_id character varying(40) NOT NULL,
    method character varying(32) NOT NULL,
    path text NOT NULL,
    query bytea NOT NULL,
    headers json NOT NULL,
    body bytea NOT NULL,
    timeout double precision,
    caller_kind character varying(16) NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='2000', autovacuum_analyze_scale_factor='0.02', autovacuum_vacuum_insert_scale_factor='0.05');
CREATE TABLE public.runs (
    id character varying(40) NOT NULL,
    owner character varying(64) NOT NULL,
    service_id character varying(80),
    version integer,
    status character varying(16) NOT NULL,
    created_at bigint NOT NULL,
    started_at bigint,
    completed_at bigint,
    response_status integer,
    response_content text,
    response_json json,
    response_truncated boolean NOT NULL,
    correlation_id character varying(200),
    parent_id character varying(40),
    idempotency_key character varying(200),
    error json,
    attempts json NOT NULL,
    steps json NOT NULL,
    usage json NOT NULL,
    timings json NOT NULL,
    isolation character varying(8),
    background boolean DEFAULT false NOT NULL,
    executor character varying(32),
    running_at bigint,
    retries integer DEFAULT 0 NOT NULL,
    in_queue boolean DEFAULT false NOT NULL,
    deliveries integer DEFAULT 0 NOT NULL,
    depth integer DEFAULT 0 NOT NULL,
    priority integer DEFAULT 50 NOT NULL,
    not_before bigint,
    cancel_asked boolean DEFAULT false NOT NULL,
    schedule_id character varying(40),
    key_id character varying(32),
    cpu_seconds double precision,
    peak_memory bigint,
    cost double precision,
    waits_for character varying(16),
    egress_in bigint,
    egress_out bigint,
    summed boolean,
    input json,
    made_by json,
    response_file json
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='2000', autovacuum_analyze_scale_factor='0.02', autovacuum_vacuum_insert_scale_factor='0.05');
CREATE TABLE public.schedules (
    id character varying(40) NOT NULL,
    owner character varying(64) NOT NULL,
    service_id character varying(80) NOT NULL,
    name character varying(200) NOT NULL,
    method character varying(32) NOT NULL,
    path text NOT NULL,
    input json,
    cron character varying(200),
    timezone character varying(64) NOT NULL,
    catch_up character varying(8) NOT NULL,
    overlap character varying(8) NOT NULL,
    jitter double precision NOT NULL,
    paused boolean NOT NULL,
    created_at bigint NOT NULL,
    next_at bigint,
    last_at bigint,
    last_run_id character varying(40),
    missed integer NOT NULL,
    held_back integer NOT NULL,
    note text NOT NULL,
    key_id character varying(32),
    maker character varying(80),
    made_by json
);
CREATE TABLE public.secrets (
    owner character varying(64) NOT NULL,
    name character varying(64) NOT NULL,
    key_id character varying(32) NOT NULL,
    ciphertext bytea NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    rule json
);
CREATE TABLE public.service_values (
    owner character varying(64) NOT NULL,
    space character varying(32) NOT NULL,
    key character varying(512) NOT NULL,
    value text NOT NULL,
    expires_at bigint
);
CREATE TABLE public.tasks (
    id character varying(48) NOT NULL,
    principal character varying(240) NOT NULL,
    tool character varying(64) NOT NULL,
    arguments text NOT NULL,
    status character varying(16) NOT NULL,
    message text,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    executor character varying(32) NOT NULL,
    beat_at bigint NOT NULL,
    outcome text,
    asks text,
    answers text,
    cancel_asked boolean NOT NULL
);
CREATE TABLE public.usage_days (
    dimension character varying(8) NOT NULL,
    subject character varying(80) NOT NULL,
    owner character varying(64) NOT NULL,
    day bigint NOT NULL,
    runs bigint NOT NULL,
    succeeded bigint NOT NULL,
    failed bigint NOT NULL,
    waiting bigint NOT NULL,
    starting bigint NOT NULL,
    running bigint NOT NULL,
    cpu_seconds double precision NOT NULL,
    peak_memory bigint,
    cost double precision,
    egress_in bigint NOT NULL,
    egress_out bigint NOT NULL
);
CREATE TABLE public.versions (
    id character varying(32) NOT NULL,
    workflow_id character varying(80) NOT NULL,
    number integer NOT NULL,
    code text NOT NULL,
    code_hash character varying(64) NOT NULL,
    environment character varying(64) NOT NULL,
    openapi json NOT NULL,
    checks json NOT NULL,
    description text NOT NULL,
    created_at bigint NOT NULL,
    manifest json,
    example json
);
CREATE TABLE public.webhook_deliveries (
    id character varying(40) NOT NULL,
    endpoint character varying(64) NOT NULL,
    key character varying(64) NOT NULL,
    owner character varying(64) NOT NULL,
    kind character varying(16) NOT NULL,
    event character varying(100) NOT NULL,
    about json NOT NULL,
    status character varying(12) NOT NULL,
    reason text NOT NULL,
    received_at bigint NOT NULL,
    due_at bigint NOT NULL,
    tries integer NOT NULL,
    round integer NOT NULL,
    repeats integer NOT NULL,
    headers json NOT NULL,
    body bytea NOT NULL,
    size integer NOT NULL,
    runs json NOT NULL,
    made_by json
);
CREATE TABLE public.webhooks (
    id character varying(40) NOT NULL,
    endpoint character varying(64) NOT NULL,
    owner character varying(64) NOT NULL,
    kind character varying(16) NOT NULL,
    service_id character varying(80) NOT NULL,
    path text NOT NULL,
    name character varying(200) NOT NULL,
    filters json NOT NULL,
    secret character varying(64),
    created_at bigint NOT NULL,
    maker character varying(80),
    made_by json,
    key_id character varying(32)
);
CREATE TABLE public.workflows (
    id character varying(80) NOT NULL,
    owner character varying(64) NOT NULL,
    name character varying(200) NOT NULL,
    description text NOT NULL,
    public boolean NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    active_version integer NOT NULL,
    template character varying(40)
);
INSERT INTO public.agreements VALUES ('0-agreements.owner', 'greeting_0', '0-agreements.digest', '{"of": "agreements.manifest", "number": 0, "text": "Grüße, 世界"}', 1750000000000000);
INSERT INTO public.agreements VALUES ('1-agreements.owner', 'greeting_1', '1-agreements.digest', '{"of": "agreements.manifest", "number": 1, "text": "Grüße, 世界"}', 1750000001000000);
INSERT INTO public.alembic_version VALUES ('0043');
INSERT INTO public.browsers VALUES ('0-browsers.owner', '0-browsers.hash', '0-browsers.name', '0-browsers.version', '0-browsers.url', 1750000000000000, 1750000000000000, '0-browsers.executor');
INSERT INTO public.browsers VALUES ('1-browsers.owner', '1-browsers.hash', '1-browsers.name', '1-browsers.version', '1-browsers.url', 1750000001000000, 1750000001000000, '1-browsers.executor');
INSERT INTO public.budget_accounts VALUES ('0-budget_accounts.id', '0-budget_a', 1750000000000000, 1750000000000000);
INSERT INTO public.budget_accounts VALUES ('1-budget_accounts.id', '1-budget_a', 1750000001000000, 1750000001000000);
INSERT INTO public.budgets VALUES ('0-budgets.scope', '0-budgets.subject', 'month', 1750000000000000, 1750000000000000);
INSERT INTO public.budgets VALUES ('1-budgets.scope', '1-budgets.subject', 'month', 1750000001000000, 1750000001000000);
INSERT INTO public.drafts VALUES ('0-drafts.id', 'ada', '0-drafts.name', '0-drafts.code', 0, 'greeting_0', 0, '0-drafts.asked', '{"of": "drafts.facts", "number": 0, "text": "Grüße, 世界"}', 1750000000000000, 1750000000000000, 1750000000000000);
INSERT INTO public.drafts VALUES ('1-drafts.id', 'ada', '1-drafts.name', '1-drafts.code', 1, 'greeting_0', 1, '1-drafts.asked', '{"of": "drafts.facts", "number": 1, "text": "Grüße, 世界"}', 1750000001000000, 1750000001000000, 1750000001000000);
INSERT INTO public.executors VALUES ('0-executors.id', '0-executors.version', 1750000000000000, 1750000000000000, '{"of": "executors.key_ids", "number": 0, "text": "Grüße, 世界"}');
INSERT INTO public.executors VALUES ('1-executors.id', '1-executors.version', 1750000001000000, 1750000001000000, '{"of": "executors.key_ids", "number": 1, "text": "Grüße, 世界"}');
INSERT INTO public.files VALUES ('0-files.id', 'ada', '0-files.filename', '0-files.content_type', 1750000000000000, 1750000000000000, 1750000000000000, '0-files.stored_as', '0-files.maker');
INSERT INTO public.files VALUES ('1-files.id', 'ada', '1-files.filename', '1-files.content_type', 1750000001000000, 1750000001000000, 1750000001000000, '1-files.stored_as', '1-files.maker');
INSERT INTO public.integrations VALUES ('0-integrations.project', '0-integr', '0-integrations.key', 1750000000000000, '{"of": "integrations.data", "number": 0, "text": "Grüße, 世界"}');
INSERT INTO public.integrations VALUES ('1-integrations.project', '1-integr', '1-integrations.key', 1750000001000000, '{"of": "integrations.data", "number": 1, "text": "Grüße, 世界"}');
INSERT INTO public.key_use VALUES (0, '0-key_use.key_id');
INSERT INTO public.key_use VALUES (1, '1-key_use.key_id');
INSERT INTO public.keys VALUES ('0-keys.id', '0-keys.hash', '0-keys.prefix', 'ada', 'api', false, 1750000000000000, 1750000000000000, 1750000000000000, false, '["openai/*"]', '["run"]', 'null');
INSERT INTO public.keys VALUES ('1-keys.id', '1-keys.hash', '1-keys.prefix', 'ada', 'api', true, 1750000001000000, 1750000001000000, 1750000001000000, false, '["openai/*"]', '["run"]', 'null');
INSERT INTO public.links VALUES ('0-links.id', '0-links.kind', 'ada', '0-links.subject', '0-links.key_id', '\x00ff006c696e6b732e7365616c6564', '0-links.answer', 1750000000000000, 1750000000000000);
INSERT INTO public.links VALUES ('1-links.id', '1-links.kind', 'ada', '1-links.subject', '1-links.key_id', '\x00ff016c696e6b732e7365616c6564', '1-links.answer', 1750000001000000, 1750000001000000);
INSERT INTO public.log_chunks VALUES ('run_0', 0, 1, '["2025-06-15T15:06:40.000000Z","stdout","Grüße"]');
INSERT INTO public.log_chunks VALUES ('run_1', 0, 1, '["2025-06-15T15:06:40.000000Z","stdout","Grüße"]');
INSERT INTO public.login_sessions VALUES ('0-login_sessions.id', 'ada', '0-login_sessions.app', '0-login_sessions.email', 1750000000000000, 1750000000000000);
INSERT INTO public.login_sessions VALUES ('1-login_sessions.id', 'ada', '1-login_sessions.app', '1-login_sessions.email', 1750000001000000, 1750000001000000);
INSERT INTO public.logins VALUES ('0-logins.id', 'ada', '0-logins.app', '0-logins.email', '0-logins.code', '0-logins.link', '0-logins.ticket', '0-logins.title', '0-logins.return_url', 0, 0, 1750000000000000, 1750000000000000);
INSERT INTO public.logins VALUES ('1-logins.id', 'ada', '1-logins.app', '1-logins.email', '1-logins.code', '1-logins.link', '1-logins.ticket', '1-logins.title', '1-logins.return_url', 1, 1, 1750000001000000, 1750000001000000);
INSERT INTO public.marks VALUES ('0-marks.id', 1750000000000000, '2999-01-01 12:00:00+00');
INSERT INTO public.marks VALUES ('1-marks.id', 1750000001000000, '2999-01-01 12:01:00+00');
INSERT INTO public.meta VALUES ('0-meta.name', '0-meta.value');
INSERT INTO public.meta VALUES ('1-meta.name', '1-meta.value');
INSERT INTO public.model_reservations VALUES ('0-model_reservations.id', 1750000000000000, '{"of": "model_reservations.accounts", "number": 0, "text": "Grüße, 世界"}', 1750000000000000, '0-model_reservations.executor', '{"of": "model_reservations.budgets", "number": 0, "text": "Grüße, 世界"}');
INSERT INTO public.model_reservations VALUES ('1-model_reservations.id', 1750000001000000, '{"of": "model_reservations.accounts", "number": 1, "text": "Grüße, 世界"}', 1750000001000000, '1-model_reservations.executor', '{"of": "model_reservations.budgets", "number": 1, "text": "Grüße, 世界"}');
INSERT INTO public.model_usage VALUES ('0-model_usage.id', '2025-06-15', 'ada', 'greeting_0', '0-model_usage.key_id', 'run_0', false, '0-model_usage.pr', '0-model_usage.model', 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, true);
INSERT INTO public.model_usage VALUES ('1-model_usage.id', '2025-06-15', 'ada', 'greeting_0', '1-model_usage.key_id', 'run_0', true, '1-model_usage.pr', '1-model_usage.model', 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, true);
INSERT INTO public.model_usage_days VALUES ('0-model_', '0-model_usage_days.subject', '0-model_usage_days.owner', '2025-06-15', false, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000);
INSERT INTO public.model_usage_days VALUES ('1-model_', '1-model_usage_days.subject', '1-model_usage_days.owner', '2025-06-15', true, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000);
INSERT INTO public.outbox VALUES ('0-outbox.id', 'ada', 'run_0', 1750000000000000, '["ada@example.com"]', '0-outbox.subject', '0-outbox.message');
INSERT INTO public.outbox VALUES ('1-outbox.id', 'ada', 'run_0', 1750000001000000, '["ada@example.com"]', '1-outbox.subject', '1-outbox.message');
INSERT INTO public.published VALUES ('0-published.owner', '0-published.tool', 'greeting_0', '0-published.toolset', '0-published.route', '0-publis', false, 1750000000000000);
INSERT INTO public.published VALUES ('1-published.owner', '1-published.tool', 'greeting_1', '1-published.toolset', '1-published.route', '1-publis', true, 1750000001000000);
INSERT INTO public.run_requests VALUES ('run_0', '0-run_requests.method', '0-run_requests.path', '\x00ff0072756e5f72657175657374732e7175657279', '{"of": "run_requests.headers", "number": 0, "text": "Grüße, 世界"}', '\x00ff0072756e5f72657175657374732e626f6479', 0.25, '0-run_requests.c');
INSERT INTO public.run_requests VALUES ('run_1', '1-run_requests.method', '1-run_requests.path', '\x00ff0172756e5f72657175657374732e7175657279', '{"of": "run_requests.headers", "number": 1, "text": "Grüße, 世界"}', '\x00ff0172756e5f72657175657374732e626f6479', 1.25, '1-run_requests.c');
INSERT INTO public.runs VALUES ('run_0', 'ada', 'greeting_0', 1, 'succeeded', 1750000000000000, 1750000000000000, 1750000000000000, 0, '0-runs.response_content', '{"of": "runs.response_json", "number": 0, "text": "Grüße, 世界"}', false, '0-runs.correlation_id', '0-runs.parent_id', '0-runs.idempotency_key', 'null', '[]', '[]', '{}', '{}', 'S', false, NULL, 1750000000000000, 0, false, 0, 0, 0, NULL, false, '0-runs.schedule_id', '0-runs.key_id', 0.25, 1750000000000000, 0.25, NULL, 1750000000000000, 1750000000000000, true, '{"method": "POST", "path": "/greet", "content": "{}"}', '{"workflow": "greeting_0", "depth": 1, "services": ["greeting_0"], "key_id": null}', '{"file_id": "f", "filename": "a.pdf", "content_type": "application/pdf", "size": 5}');
INSERT INTO public.runs VALUES ('run_1', 'ada', 'greeting_0', 1, 'succeeded', 1750000001000000, 1750000001000000, 1750000001000000, 1, '1-runs.response_content', '{"of": "runs.response_json", "number": 1, "text": "Grüße, 世界"}', true, '1-runs.correlation_id', '1-runs.parent_id', '1-runs.idempotency_key', 'null', '[]', '[]', '{}', '{}', 'S', true, NULL, 1750000001000000, 1, false, 1, 0, 1, NULL, false, '1-runs.schedule_id', '1-runs.key_id', 1.25, 1750000001000000, 1.25, NULL, 1750000001000000, 1750000001000000, true, '{"method": "POST", "path": "/greet", "content": "{}"}', '{"workflow": "greeting_0", "depth": 1, "services": ["greeting_0"], "key_id": null}', '{"file_id": "f", "filename": "a.pdf", "content_type": "application/pdf", "size": 5}');
INSERT INTO public.schedules VALUES ('0-schedules.id', 'ada', 'greeting_0', '0-schedules.name', 'POST', '0-schedules.path', '{"of": "schedules.input", "number": 0, "text": "Grüße, 世界"}', '0 9 * * *', 'Europe/Berlin', 'one', 'skip', 0.25, false, 1750000000000000, 1750000000000000, 1750000000000000, '0-schedules.last_run_id', 0, 0, '0-schedules.note', '0-schedules.key_id', '0-schedules.maker', '{"workflow": "greeting_0", "depth": 1, "services": ["greeting_0"], "key_id": null}');
INSERT INTO public.schedules VALUES ('1-schedules.id', 'ada', 'greeting_0', '1-schedules.name', 'POST', '1-schedules.path', '{"of": "schedules.input", "number": 1, "text": "Grüße, 世界"}', '0 9 * * *', 'Europe/Berlin', 'one', 'skip', 1.25, true, 1750000001000000, 1750000001000000, 1750000001000000, '1-schedules.last_run_id', 1, 1, '1-schedules.note', '1-schedules.key_id', '1-schedules.maker', '{"workflow": "greeting_0", "depth": 1, "services": ["greeting_0"], "key_id": null}');
INSERT INTO public.secrets VALUES ('0-secrets.owner', '0-secrets.name', '0-secrets.key_id', '\x00ff00736563726574732e63697068657274657874', 1750000000000000, 1750000000000000, '{"of": "secrets.rule", "number": 0, "text": "Grüße, 世界"}');
INSERT INTO public.secrets VALUES ('1-secrets.owner', '1-secrets.name', '1-secrets.key_id', '\x00ff01736563726574732e63697068657274657874', 1750000001000000, 1750000001000000, '{"of": "secrets.rule", "number": 1, "text": "Grüße, 世界"}');
INSERT INTO public.service_values VALUES ('0-service_values.owner', '0-service_values.space', '0-service_values.key', '0-service_values.value', 1750000000000000);
INSERT INTO public.service_values VALUES ('1-service_values.owner', '1-service_values.space', '1-service_values.key', '1-service_values.value', 1750000001000000);
INSERT INTO public.tasks VALUES ('0-tasks.id', '0-tasks.principal', '0-tasks.tool', '0-tasks.arguments', '0-tasks.status', '0-tasks.message', 1750000000000000, 1750000000000000, 1750000000000000, '0-tasks.executor', 1750000000000000, '0-tasks.outcome', '0-tasks.asks', '0-tasks.answers', false);
INSERT INTO public.tasks VALUES ('1-tasks.id', '1-tasks.principal', '1-tasks.tool', '1-tasks.arguments', '1-tasks.status', '1-tasks.message', 1750000001000000, 1750000001000000, 1750000001000000, '1-tasks.executor', 1750000001000000, '1-tasks.outcome', '1-tasks.asks', '1-tasks.answers', true);
INSERT INTO public.usage_days VALUES ('0-usage_', '0-usage_days.subject', '0-usage_days.owner', 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 0.25, 1750000000000000, 0.25, 1750000000000000, 1750000000000000);
INSERT INTO public.usage_days VALUES ('1-usage_', '1-usage_days.subject', '1-usage_days.owner', 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1.25, 1750000001000000, 1.25, 1750000001000000, 1750000001000000);
INSERT INTO public.versions VALUES ('0-versions.id', 'greeting_0', 1, '0-versions.code', '0-versions.code_hash', '0-versions.environment', '{"of": "versions.openapi", "number": 0, "text": "Grüße, 世界"}', '[]', '0-versions.description', 1750000000000000, '{"of": "versions.manifest", "number": 0, "text": "Grüße, 世界"}', '{"of": "versions.example", "number": 0, "text": "Grüße, 世界"}');
INSERT INTO public.versions VALUES ('1-versions.id', 'greeting_1', 1, '1-versions.code', '1-versions.code_hash', '1-versions.environment', '{"of": "versions.openapi", "number": 1, "text": "Grüße, 世界"}', '[]', '1-versions.description', 1750000001000000, '{"of": "versions.manifest", "number": 1, "text": "Grüße, 世界"}', '{"of": "versions.example", "number": 1, "text": "Grüße, 世界"}');
INSERT INTO public.webhook_deliveries VALUES ('0-webhook_deliveries.id', '0-webhook_deliveries.endpoint', '0-webhook_deliveries.key', 'ada', '0-webhook_delive', '0-webhook_deliveries.event', '{"of": "webhook_deliveries.about", "number": 0, "text": "Grüße, 世界"}', 'delivered', '0-webhook_deliveries.reason', 1750000000000000, 1750000000000000, 0, 0, 0, '{"of": "webhook_deliveries.headers", "number": 0, "text": "Grüße, 世界"}', '\x00ff00776562686f6f6b5f64656c697665726965732e626f6479', 0, '[]', '{"workflow": "greeting_0", "depth": 1, "services": ["greeting_0"], "key_id": null}');
INSERT INTO public.webhook_deliveries VALUES ('1-webhook_deliveries.id', '1-webhook_deliveries.endpoint', '1-webhook_deliveries.key', 'ada', '1-webhook_delive', '1-webhook_deliveries.event', '{"of": "webhook_deliveries.about", "number": 1, "text": "Grüße, 世界"}', 'delivered', '1-webhook_deliveries.reason', 1750000001000000, 1750000001000000, 1, 1, 1, '{"of": "webhook_deliveries.headers", "number": 1, "text": "Grüße, 世界"}', '\x00ff01776562686f6f6b5f64656c697665726965732e626f6479', 1, '[]', '{"workflow": "greeting_0", "depth": 1, "services": ["greeting_0"], "key_id": null}');
INSERT INTO public.webhooks VALUES ('0-webhooks.id', '0-webhooks.endpoint', 'ada', '0-webhooks.kind', 'greeting_0', '0-webhooks.path', '0-webhooks.name', '[]', '0-webhooks.secret', 1750000000000000, '0-webhooks.maker', '{"workflow": "greeting_0", "depth": 1, "services": ["greeting_0"], "key_id": null}', '0-webhooks.key_id');
INSERT INTO public.webhooks VALUES ('1-webhooks.id', '1-webhooks.endpoint', 'ada', '1-webhooks.kind', 'greeting_0', '1-webhooks.path', '1-webhooks.name', '[]', '1-webhooks.secret', 1750000001000000, '1-webhooks.maker', '{"workflow": "greeting_0", "depth": 1, "services": ["greeting_0"], "key_id": null}', '1-webhooks.key_id');
INSERT INTO public.workflows VALUES ('greeting_0', 'ada', '0-workflows.name', '0-workflows.description', false, 1750000000000000, 1750000000000000, 1, NULL);
INSERT INTO public.workflows VALUES ('greeting_1', 'ada', '1-workflows.name', '1-workflows.description', true, 1750000001000000, 1750000001000000, 1, NULL);
ALTER TABLE ONLY public.agreements
    ADD CONSTRAINT agreements_pkey PRIMARY KEY (owner, workflow_id);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.browsers
    ADD CONSTRAINT browsers_hash_key UNIQUE (hash);
ALTER TABLE ONLY public.browsers
    ADD CONSTRAINT browsers_pkey PRIMARY KEY (owner);
ALTER TABLE ONLY public.budget_accounts
    ADD CONSTRAINT budget_accounts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.budgets
    ADD CONSTRAINT budgets_pkey PRIMARY KEY (scope, subject, period);
ALTER TABLE ONLY public.drafts
    ADD CONSTRAINT drafts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.executors
    ADD CONSTRAINT executors_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.files
    ADD CONSTRAINT files_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.integrations
    ADD CONSTRAINT integrations_pkey PRIMARY KEY (project, kind, key);
ALTER TABLE ONLY public.key_use
    ADD CONSTRAINT key_use_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.keys
    ADD CONSTRAINT keys_hash_key UNIQUE (hash);
ALTER TABLE ONLY public.keys
    ADD CONSTRAINT keys_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.links
    ADD CONSTRAINT links_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.log_chunks
    ADD CONSTRAINT log_chunks_pkey PRIMARY KEY (run_id, first_seq);
ALTER TABLE ONLY public.login_sessions
    ADD CONSTRAINT login_sessions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.logins
    ADD CONSTRAINT logins_link_key UNIQUE (link);
ALTER TABLE ONLY public.logins
    ADD CONSTRAINT logins_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.logins
    ADD CONSTRAINT logins_ticket_key UNIQUE (ticket);
ALTER TABLE ONLY public.marks
    ADD CONSTRAINT marks_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.meta
    ADD CONSTRAINT meta_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.model_reservations
    ADD CONSTRAINT model_reservations_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.model_usage_days
    ADD CONSTRAINT model_usage_days_pkey PRIMARY KEY (dimension, subject, owner, day, by_run);
ALTER TABLE ONLY public.model_usage
    ADD CONSTRAINT model_usage_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.published
    ADD CONSTRAINT published_pkey PRIMARY KEY (owner, tool);
ALTER TABLE ONLY public.run_requests
    ADD CONSTRAINT run_requests_pkey PRIMARY KEY (run_id);
ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.schedules
    ADD CONSTRAINT schedules_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.secrets
    ADD CONSTRAINT secrets_pkey PRIMARY KEY (owner, name);
ALTER TABLE ONLY public.service_values
    ADD CONSTRAINT service_values_pkey PRIMARY KEY (owner, space, key);
ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT tasks_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.versions
    ADD CONSTRAINT uq_versions_number UNIQUE (workflow_id, number);
ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT uq_webhook_deliveries_key UNIQUE (endpoint, key);
ALTER TABLE ONLY public.workflows
    ADD CONSTRAINT uq_workflows_owner_name UNIQUE (owner, name);
ALTER TABLE ONLY public.usage_days
    ADD CONSTRAINT usage_days_pkey PRIMARY KEY (dimension, subject, owner, day);
ALTER TABLE ONLY public.versions
    ADD CONSTRAINT versions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.webhooks
    ADD CONSTRAINT webhooks_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.workflows
    ADD CONSTRAINT workflows_pkey PRIMARY KEY (id);
CREATE INDEX ix_drafts_expires ON public.drafts USING btree (expires_at);
CREATE INDEX ix_drafts_owner ON public.drafts USING btree (owner, updated_at);
CREATE INDEX ix_links_expires ON public.links USING btree (expires_at);
CREATE INDEX ix_links_subject ON public.links USING btree (kind, owner, subject);
CREATE INDEX ix_login_sessions_expires ON public.login_sessions USING btree (expires_at);
CREATE INDEX ix_logins_app ON public.logins USING btree (owner, app, created_at);
CREATE INDEX ix_logins_created ON public.logins USING btree (created_at);
CREATE INDEX ix_model_usage_day ON public.model_usage USING btree (day);
CREATE INDEX ix_model_usage_days_day ON public.model_usage_days USING btree (dimension, day);
CREATE INDEX ix_model_usage_run ON public.model_usage USING btree (run_id);
CREATE INDEX ix_model_usage_unsummed ON public.model_usage USING btree (day) WHERE (summed IS NULL);
CREATE INDEX ix_outbox_owner ON public.outbox USING btree (owner, created_at);
CREATE INDEX ix_published_workflow ON public.published USING btree (workflow_id);
CREATE INDEX ix_runs_created ON public.runs USING btree (created_at);
CREATE INDEX ix_runs_owner_created ON public.runs USING btree (owner, created_at, id);
CREATE INDEX ix_runs_owner_service ON public.runs USING btree (owner, service_id, created_at, id);
CREATE INDEX ix_runs_parent ON public.runs USING btree (parent_id);
CREATE INDEX ix_runs_schedule ON public.runs USING btree (schedule_id);
CREATE INDEX ix_runs_status_owner ON public.runs USING btree (status, owner, created_at, id);
CREATE INDEX ix_runs_unsummed ON public.runs USING btree (created_at) WHERE ((summed IS NULL) AND ((status)::text <> 'provisioned'::text));
CREATE INDEX ix_schedules_next ON public.schedules USING btree (next_at);
CREATE INDEX ix_schedules_owner ON public.schedules USING btree (owner);
CREATE INDEX ix_service_values_expires ON public.service_values USING btree (expires_at);
CREATE INDEX ix_tasks_expires ON public.tasks USING btree (expires_at);
CREATE INDEX ix_usage_days_day ON public.usage_days USING btree (dimension, day);
CREATE INDEX ix_webhook_deliveries_due ON public.webhook_deliveries USING btree (status, due_at);
CREATE INDEX ix_webhook_deliveries_owner ON public.webhook_deliveries USING btree (owner, received_at);
CREATE INDEX ix_webhooks_endpoint ON public.webhooks USING btree (endpoint);
CREATE INDEX ix_webhooks_owner ON public.webhooks USING btree (owner);
CREATE UNIQUE INDEX uq_runs_idempotency ON public.runs USING btree (owner, service_id, idempotency_key) WHERE (idempotency_key IS NOT NULL);
ALTER TABLE ONLY public.agreements
    ADD CONSTRAINT agreements_workflow_id_fkey FOREIGN KEY (workflow_id) REFERENCES public.workflows(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.log_chunks
    ADD CONSTRAINT log_chunks_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.published
    ADD CONSTRAINT published_workflow_id_fkey FOREIGN KEY (workflow_id) REFERENCES public.workflows(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.run_requests
    ADD CONSTRAINT run_requests_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.versions
    ADD CONSTRAINT versions_workflow_id_fkey FOREIGN KEY (workflow_id) REFERENCES public.workflows(id);
