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
    revoked boolean NOT NULL
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
    isolation character varying(8)
);
CREATE TABLE public.secrets (
    owner character varying(64) NOT NULL,
    name character varying(64) NOT NULL,
    key_id character varying(32) NOT NULL,
    ciphertext bytea NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
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
    created_at bigint NOT NULL
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
INSERT INTO public.alembic_version VALUES ('0001');
INSERT INTO public.files VALUES ('0-files.id', 'ada', '0-files.filename', '0-files.content_type', 1750000000000000, 1750000000000000, 1750000000000000);
INSERT INTO public.files VALUES ('1-files.id', 'ada', '1-files.filename', '1-files.content_type', 1750000001000000, 1750000001000000, 1750000001000000);
INSERT INTO public.keys VALUES ('0-keys.id', '0-keys.hash', '0-keys.prefix', 'ada', 'api', false, 1750000000000000, 1750000000000000, 1750000000000000, false);
INSERT INTO public.keys VALUES ('1-keys.id', '1-keys.hash', '1-keys.prefix', 'ada', 'api', true, 1750000001000000, 1750000001000000, 1750000001000000, false);
INSERT INTO public.log_chunks VALUES ('run_0', 0, 1, '["2025-06-15T15:06:40.000000Z","stdout","Grüße"]');
INSERT INTO public.log_chunks VALUES ('run_1', 0, 1, '["2025-06-15T15:06:40.000000Z","stdout","Grüße"]');
INSERT INTO public.meta VALUES ('0-meta.name', '0-meta.value');
INSERT INTO public.meta VALUES ('1-meta.name', '1-meta.value');
INSERT INTO public.runs VALUES ('run_0', 'ada', 'greeting_0', 1, 'succeeded', 1750000000000000, 1750000000000000, 1750000000000000, 0, '0-runs.response_content', '{"of": "runs.response_json", "number": 0, "text": "Grüße, 世界"}', false, '0-runs.correlation_id', '0-runs.parent_id', '0-runs.idempotency_key', 'null', '[]', '[]', '{}', '{}', 'S');
INSERT INTO public.runs VALUES ('run_1', 'ada', 'greeting_0', 1, 'succeeded', 1750000001000000, 1750000001000000, 1750000001000000, 1, '1-runs.response_content', '{"of": "runs.response_json", "number": 1, "text": "Grüße, 世界"}', true, '1-runs.correlation_id', '1-runs.parent_id', '1-runs.idempotency_key', 'null', '[]', '[]', '{}', '{}', 'S');
INSERT INTO public.secrets VALUES ('0-secrets.owner', '0-secrets.name', '0-secrets.key_id', '\x00ff00736563726574732e63697068657274657874', 1750000000000000, 1750000000000000);
INSERT INTO public.secrets VALUES ('1-secrets.owner', '1-secrets.name', '1-secrets.key_id', '\x00ff01736563726574732e63697068657274657874', 1750000001000000, 1750000001000000);
INSERT INTO public.versions VALUES ('0-versions.id', 'greeting_0', 1, '0-versions.code', '0-versions.code_hash', '0-versions.environment', '{"of": "versions.openapi", "number": 0, "text": "Grüße, 世界"}', '[]', '0-versions.description', 1750000000000000);
INSERT INTO public.versions VALUES ('1-versions.id', 'greeting_1', 1, '1-versions.code', '1-versions.code_hash', '1-versions.environment', '{"of": "versions.openapi", "number": 1, "text": "Grüße, 世界"}', '[]', '1-versions.description', 1750000001000000);
INSERT INTO public.workflows VALUES ('greeting_0', 'ada', '0-workflows.name', '0-workflows.description', false, 1750000000000000, 1750000000000000, 1);
INSERT INTO public.workflows VALUES ('greeting_1', 'ada', '1-workflows.name', '1-workflows.description', true, 1750000001000000, 1750000001000000, 1);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
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
ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.secrets
    ADD CONSTRAINT secrets_pkey PRIMARY KEY (owner, name);
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
CREATE INDEX ix_runs_owner_created ON public.runs USING btree (owner, created_at);
CREATE INDEX ix_runs_status ON public.runs USING btree (status);
ALTER TABLE ONLY public.log_chunks
    ADD CONSTRAINT log_chunks_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.versions
    ADD CONSTRAINT versions_workflow_id_fkey FOREIGN KEY (workflow_id) REFERENCES public.workflows(id);
