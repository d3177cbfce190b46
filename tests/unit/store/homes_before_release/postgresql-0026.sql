SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
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
CREATE TABLE public.executors (
    id character varying(32) NOT NULL,
    version character varying(32) NOT NULL,
    started_at bigint NOT NULL,
    seen_at bigint NOT NULL
);
CREATE TABLE public.files (
    id character varying(32) NOT NULL,
    owner character varying(64) NOT NULL,
    filename character varying(255) NOT NULL,
    content_type character varying(255),
    size bigint,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL
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
    models json
);
CREATE TABLE public.log_chunks (
    run_id character varying(40) NOT NULL,
    first_seq integer NOT NULL,
    lines integer NOT NULL,
    body text NOT NULL
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
    cached bigint DEFAULT '0'::bigint NOT NULL
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
CREATE TABLE public.run_requests (
    run_id character varying(40) NOT NULL,
    method character varying(32) NOT NULL,
    path text NOT NULL,
    query bytea NOT NULL,
    headers json NOT NULL,
    body bytea NOT NULL,
    timeout double precision,
    caller_kind character varying(16) NOT NULL
);
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
    egress_out bigint
);
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
    note text NOT NULL
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
    manifest json
);
CREATE TABLE public.workflows (
    id character varying(80) NOT NULL,
    owner character varying(64) NOT NULL,
    name character varying(200) NOT NULL,
    description text NOT NULL,
    public boolean NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    active_version integer NOT NULL
);
INSERT INTO public.alembic_version VALUES ('0026');
INSERT INTO public.budget_accounts VALUES ('0-budget_accounts.id', '0-budget_a', 1750000000000000, 1750000000000000);
INSERT INTO public.budget_accounts VALUES ('1-budget_accounts.id', '1-budget_a', 1750000001000000, 1750000001000000);
INSERT INTO public.budgets VALUES ('0-budgets.scope', '0-budgets.subject', 'month', 1750000000000000, 1750000000000000);
INSERT INTO public.budgets VALUES ('1-budgets.scope', '1-budgets.subject', 'month', 1750000001000000, 1750000001000000);
INSERT INTO public.executors VALUES ('0-executors.id', '0-executors.version', 1750000000000000, 1750000000000000);
INSERT INTO public.executors VALUES ('1-executors.id', '1-executors.version', 1750000001000000, 1750000001000000);
INSERT INTO public.files VALUES ('0-files.id', 'ada', '0-files.filename', '0-files.content_type', 1750000000000000, 1750000000000000, 1750000000000000);
INSERT INTO public.files VALUES ('1-files.id', 'ada', '1-files.filename', '1-files.content_type', 1750000001000000, 1750000001000000, 1750000001000000);
INSERT INTO public.keys VALUES ('0-keys.id', '0-keys.hash', '0-keys.prefix', 'ada', 'api', false, 1750000000000000, 1750000000000000, 1750000000000000, false, '["openai/*"]');
INSERT INTO public.keys VALUES ('1-keys.id', '1-keys.hash', '1-keys.prefix', 'ada', 'api', true, 1750000001000000, 1750000001000000, 1750000001000000, false, '["openai/*"]');
INSERT INTO public.log_chunks VALUES ('run_0', 0, 1, '["2025-06-15T15:06:40.000000Z","stdout","Grüße"]');
INSERT INTO public.log_chunks VALUES ('run_1', 0, 1, '["2025-06-15T15:06:40.000000Z","stdout","Grüße"]');
INSERT INTO public.meta VALUES ('0-meta.name', '0-meta.value');
INSERT INTO public.meta VALUES ('1-meta.name', '1-meta.value');
INSERT INTO public.model_reservations VALUES ('0-model_reservations.id', 1750000000000000, '{"of": "model_reservations.accounts", "number": 0, "text": "Grüße, 世界"}', 1750000000000000, '0-model_reservations.executor', '{"of": "model_reservations.budgets", "number": 0, "text": "Grüße, 世界"}');
INSERT INTO public.model_reservations VALUES ('1-model_reservations.id', 1750000001000000, '{"of": "model_reservations.accounts", "number": 1, "text": "Grüße, 世界"}', 1750000001000000, '1-model_reservations.executor', '{"of": "model_reservations.budgets", "number": 1, "text": "Grüße, 世界"}');
INSERT INTO public.model_usage VALUES ('0-model_usage.id', '2025-06-15', 'ada', 'greeting_0', '0-model_usage.key_id', 'run_0', false, '0-model_usage.pr', '0-model_usage.model', 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000, 1750000000000000);
INSERT INTO public.model_usage VALUES ('1-model_usage.id', '2025-06-15', 'ada', 'greeting_0', '1-model_usage.key_id', 'run_0', true, '1-model_usage.pr', '1-model_usage.model', 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000, 1750000001000000);
INSERT INTO public.outbox VALUES ('0-outbox.id', 'ada', 'run_0', 1750000000000000, '["ada@example.com"]', '0-outbox.subject', '0-outbox.message');
INSERT INTO public.outbox VALUES ('1-outbox.id', 'ada', 'run_0', 1750000001000000, '["ada@example.com"]', '1-outbox.subject', '1-outbox.message');
INSERT INTO public.run_requests VALUES ('run_0', '0-run_requests.method', '0-run_requests.path', '\x00ff0072756e5f72657175657374732e7175657279', '{"of": "run_requests.headers", "number": 0, "text": "Grüße, 世界"}', '\x00ff0072756e5f72657175657374732e626f6479', 0.25, '0-run_requests.c');
INSERT INTO public.run_requests VALUES ('run_1', '1-run_requests.method', '1-run_requests.path', '\x00ff0172756e5f72657175657374732e7175657279', '{"of": "run_requests.headers", "number": 1, "text": "Grüße, 世界"}', '\x00ff0172756e5f72657175657374732e626f6479', 1.25, '1-run_requests.c');
INSERT INTO public.runs VALUES ('run_0', 'ada', 'greeting_0', 1, 'succeeded', 1750000000000000, 1750000000000000, 1750000000000000, 0, '0-runs.response_content', '{"of": "runs.response_json", "number": 0, "text": "Grüße, 世界"}', false, '0-runs.correlation_id', '0-runs.parent_id', '0-runs.idempotency_key', 'null', '[]', '[]', '{}', '{}', 'S', false, NULL, 1750000000000000, 0, false, 0, 0, 0, NULL, false, '0-runs.schedule_id', '0-runs.key_id', 0.25, 1750000000000000, 0.25, NULL, 1750000000000000, 1750000000000000);
INSERT INTO public.runs VALUES ('run_1', 'ada', 'greeting_0', 1, 'succeeded', 1750000001000000, 1750000001000000, 1750000001000000, 1, '1-runs.response_content', '{"of": "runs.response_json", "number": 1, "text": "Grüße, 世界"}', true, '1-runs.correlation_id', '1-runs.parent_id', '1-runs.idempotency_key', 'null', '[]', '[]', '{}', '{}', 'S', true, NULL, 1750000001000000, 1, false, 1, 0, 1, NULL, false, '1-runs.schedule_id', '1-runs.key_id', 1.25, 1750000001000000, 1.25, NULL, 1750000001000000, 1750000001000000);
INSERT INTO public.schedules VALUES ('0-schedules.id', 'ada', 'greeting_0', '0-schedules.name', 'POST', '0-schedules.path', '{"of": "schedules.input", "number": 0, "text": "Grüße, 世界"}', '0 9 * * *', 'Europe/Berlin', 'one', 'skip', 0.25, false, 1750000000000000, 1750000000000000, 1750000000000000, '0-schedules.last_run_id', 0, 0, '0-schedules.note');
INSERT INTO public.schedules VALUES ('1-schedules.id', 'ada', 'greeting_0', '1-schedules.name', 'POST', '1-schedules.path', '{"of": "schedules.input", "number": 1, "text": "Grüße, 世界"}', '0 9 * * *', 'Europe/Berlin', 'one', 'skip', 1.25, true, 1750000001000000, 1750000001000000, 1750000001000000, '1-schedules.last_run_id', 1, 1, '1-schedules.note');
INSERT INTO public.secrets VALUES ('0-secrets.owner', '0-secrets.name', '0-secrets.key_id', '\x00ff00736563726574732e63697068657274657874', 1750000000000000, 1750000000000000, '{"of": "secrets.rule", "number": 0, "text": "Grüße, 世界"}');
INSERT INTO public.secrets VALUES ('1-secrets.owner', '1-secrets.name', '1-secrets.key_id', '\x00ff01736563726574732e63697068657274657874', 1750000001000000, 1750000001000000, '{"of": "secrets.rule", "number": 1, "text": "Grüße, 世界"}');
INSERT INTO public.service_values VALUES ('0-service_values.owner', '0-service_values.space', '0-service_values.key', '0-service_values.value', 1750000000000000);
INSERT INTO public.service_values VALUES ('1-service_values.owner', '1-service_values.space', '1-service_values.key', '1-service_values.value', 1750000001000000);
INSERT INTO public.versions VALUES ('0-versions.id', 'greeting_0', 1, '0-versions.code', '0-versions.code_hash', '0-versions.environment', '{"of": "versions.openapi", "number": 0, "text": "Grüße, 世界"}', '[]', '0-versions.description', 1750000000000000, '{"of": "versions.manifest", "number": 0, "text": "Grüße, 世界"}');
INSERT INTO public.versions VALUES ('1-versions.id', 'greeting_1', 1, '1-versions.code', '1-versions.code_hash', '1-versions.environment', '{"of": "versions.openapi", "number": 1, "text": "Grüße, 世界"}', '[]', '1-versions.description', 1750000001000000, '{"of": "versions.manifest", "number": 1, "text": "Grüße, 世界"}');
INSERT INTO public.workflows VALUES ('greeting_0', 'ada', '0-workflows.name', '0-workflows.description', false, 1750000000000000, 1750000000000000, 1);
INSERT INTO public.workflows VALUES ('greeting_1', 'ada', '1-workflows.name', '1-workflows.description', true, 1750000001000000, 1750000001000000, 1);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.budget_accounts
    ADD CONSTRAINT budget_accounts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.budgets
    ADD CONSTRAINT budgets_pkey PRIMARY KEY (scope, subject, period);
ALTER TABLE ONLY public.executors
    ADD CONSTRAINT executors_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.files
    ADD CONSTRAINT files_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.keys
    ADD CONSTRAINT keys_hash_key UNIQUE (hash);
ALTER TABLE ONLY public.keys
    ADD CONSTRAINT keys_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.log_chunks
    ADD CONSTRAINT log_chunks_pkey PRIMARY KEY (run_id, first_seq);
ALTER TABLE ONLY public.meta
    ADD CONSTRAINT meta_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.model_reservations
    ADD CONSTRAINT model_reservations_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.model_usage
    ADD CONSTRAINT model_usage_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);
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
ALTER TABLE ONLY public.runs
    ADD CONSTRAINT uq_runs_idempotency UNIQUE (owner, service_id, idempotency_key);
ALTER TABLE ONLY public.versions
    ADD CONSTRAINT uq_versions_number UNIQUE (workflow_id, number);
ALTER TABLE ONLY public.workflows
    ADD CONSTRAINT uq_workflows_owner_name UNIQUE (owner, name);
ALTER TABLE ONLY public.versions
    ADD CONSTRAINT versions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.workflows
    ADD CONSTRAINT workflows_pkey PRIMARY KEY (id);
CREATE INDEX ix_model_usage_day ON public.model_usage USING btree (day);
CREATE INDEX ix_model_usage_run ON public.model_usage USING btree (run_id);
CREATE INDEX ix_outbox_owner ON public.outbox USING btree (owner, created_at);
CREATE INDEX ix_runs_created ON public.runs USING btree (created_at);
CREATE INDEX ix_runs_owner_created ON public.runs USING btree (owner, created_at);
CREATE INDEX ix_runs_owner_service ON public.runs USING btree (owner, service_id, created_at);
CREATE INDEX ix_runs_schedule ON public.runs USING btree (schedule_id);
CREATE INDEX ix_runs_status_owner ON public.runs USING btree (status, owner, created_at);
CREATE INDEX ix_schedules_next ON public.schedules USING btree (next_at);
CREATE INDEX ix_schedules_owner ON public.schedules USING btree (owner);
CREATE INDEX ix_service_values_expires ON public.service_values USING btree (expires_at);
ALTER TABLE ONLY public.log_chunks
    ADD CONSTRAINT log_chunks_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.run_requests
    ADD CONSTRAINT run_requests_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.versions
    ADD CONSTRAINT versions_workflow_id_fkey FOREIGN KEY (workflow_id) REFERENCES public.workflows(id);
