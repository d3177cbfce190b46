BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0026');
CREATE TABLE budget_accounts (
	id VARCHAR(110) NOT NULL, 
	since VARCHAR(10) NOT NULL, 
	spent BIGINT NOT NULL, 
	reserved BIGINT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "budget_accounts" VALUES('0-budget_accounts.id','0-budget_a',1750000000000000,1750000000000000);
INSERT INTO "budget_accounts" VALUES('1-budget_accounts.id','1-budget_a',1750000001000000,1750000001000000);
CREATE TABLE budgets (
	scope VARCHAR(16) NOT NULL, 
	subject VARCHAR(80) NOT NULL, 
	period VARCHAR(8) NOT NULL, 
	amount BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	PRIMARY KEY (scope, subject, period)
);
INSERT INTO "budgets" VALUES('0-budgets.scope','0-budgets.subject','month',1750000000000000,1750000000000000);
INSERT INTO "budgets" VALUES('1-budgets.scope','1-budgets.subject','month',1750000001000000,1750000001000000);
CREATE TABLE executors (
	id VARCHAR(32) NOT NULL, 
	version VARCHAR(32) NOT NULL, 
	started_at BIGINT NOT NULL, 
	seen_at BIGINT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "executors" VALUES('0-executors.id','0-executors.version',1750000000000000,1750000000000000);
INSERT INTO "executors" VALUES('1-executors.id','1-executors.version',1750000001000000,1750000001000000);
CREATE TABLE files (
	id VARCHAR(32) NOT NULL, 
	owner VARCHAR(64) NOT NULL, 
	filename VARCHAR(255) NOT NULL, 
	content_type VARCHAR(255), 
	size BIGINT, 
	created_at BIGINT NOT NULL, 
	expires_at BIGINT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "files" VALUES('0-files.id','ada','0-files.filename','0-files.content_type',1750000000000000,1750000000000000,1750000000000000);
INSERT INTO "files" VALUES('1-files.id','ada','1-files.filename','1-files.content_type',1750000001000000,1750000001000000,1750000001000000);
CREATE TABLE keys (
	id VARCHAR(32) NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	prefix VARCHAR(16) NOT NULL, 
	owner VARCHAR(64) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	one_time BOOLEAN NOT NULL, 
	created_at BIGINT NOT NULL, 
	expires_at BIGINT, 
	used_at BIGINT, 
	revoked BOOLEAN NOT NULL, models JSON, 
	PRIMARY KEY (id), 
	UNIQUE (hash)
);
INSERT INTO "keys" VALUES('0-keys.id','0-keys.hash','0-keys.prefix','ada','api',0,1750000000000000,1750000000000000,1750000000000000,0,'["openai/*"]');
INSERT INTO "keys" VALUES('1-keys.id','1-keys.hash','1-keys.prefix','ada','api',1,1750000001000000,1750000001000000,1750000001000000,0,'["openai/*"]');
CREATE TABLE log_chunks (
	run_id VARCHAR(40) NOT NULL, 
	first_seq INTEGER NOT NULL, 
	lines INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (run_id, first_seq), 
	FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
INSERT INTO "log_chunks" VALUES('run_0',0,1,'["2025-06-15T15:06:40.000000Z","stdout","Grüße"]');
INSERT INTO "log_chunks" VALUES('run_1',0,1,'["2025-06-15T15:06:40.000000Z","stdout","Grüße"]');
CREATE TABLE meta (
	name VARCHAR(64) NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "meta" VALUES('0-meta.name','0-meta.value');
INSERT INTO "meta" VALUES('1-meta.name','1-meta.value');
CREATE TABLE model_reservations (
	id VARCHAR(40) NOT NULL, 
	opened_at BIGINT NOT NULL, 
	accounts JSON NOT NULL, 
	amount BIGINT NOT NULL, executor VARCHAR(32), budgets JSON, 
	PRIMARY KEY (id)
);
INSERT INTO "model_reservations" VALUES('0-model_reservations.id',1750000000000000,'{"of": "model_reservations.accounts", "number": 0, "text": "Grüße, 世界"}',1750000000000000,'0-model_reservations.executor','{"of": "model_reservations.budgets", "number": 0, "text": "Grüße, 世界"}');
INSERT INTO "model_reservations" VALUES('1-model_reservations.id',1750000001000000,'{"of": "model_reservations.accounts", "number": 1, "text": "Grüße, 世界"}',1750000001000000,'1-model_reservations.executor','{"of": "model_reservations.budgets", "number": 1, "text": "Grüße, 世界"}');
CREATE TABLE model_usage (
	id VARCHAR(40) NOT NULL, 
	day VARCHAR(10) NOT NULL, 
	owner VARCHAR(64) NOT NULL, 
	service_id VARCHAR(80) NOT NULL, 
	key_id VARCHAR(32) NOT NULL, 
	run_id VARCHAR(40) NOT NULL, 
	nested BOOLEAN NOT NULL, 
	provider VARCHAR(16) NOT NULL, 
	model VARCHAR(200) NOT NULL, 
	calls BIGINT NOT NULL, 
	input_tokens BIGINT NOT NULL, 
	output_tokens BIGINT NOT NULL, 
	cache_read_tokens BIGINT NOT NULL, 
	cache_write_tokens BIGINT NOT NULL, 
	reasoning_tokens BIGINT NOT NULL, 
	audio_tokens BIGINT NOT NULL, 
	image_tokens BIGINT NOT NULL, 
	cost BIGINT NOT NULL, 
	estimated BIGINT NOT NULL, 
	unpriced BIGINT NOT NULL, fallbacks BIGINT DEFAULT '0' NOT NULL, cached BIGINT DEFAULT '0' NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "model_usage" VALUES('0-model_usage.id','2025-06-15','ada','greeting_0','0-model_usage.key_id','run_0',0,'0-model_usage.pr','0-model_usage.model',1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000);
INSERT INTO "model_usage" VALUES('1-model_usage.id','2025-06-15','ada','greeting_0','1-model_usage.key_id','run_0',1,'1-model_usage.pr','1-model_usage.model',1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000);
CREATE TABLE outbox (
	id VARCHAR(40) NOT NULL, 
	owner VARCHAR(64) NOT NULL, 
	run_id VARCHAR(40) NOT NULL, 
	created_at BIGINT NOT NULL, 
	recipients JSON NOT NULL, 
	subject TEXT NOT NULL, 
	message TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "outbox" VALUES('0-outbox.id','ada','run_0',1750000000000000,'["ada@example.com"]','0-outbox.subject','0-outbox.message');
INSERT INTO "outbox" VALUES('1-outbox.id','ada','run_0',1750000001000000,'["ada@example.com"]','1-outbox.subject','1-outbox.message');
CREATE TABLE run_requests (
	run_id VARCHAR(40) NOT NULL, 
	method VARCHAR(32) NOT NULL, 
	path TEXT NOT NULL, 
	"query" BLOB NOT NULL, 
	headers JSON NOT NULL, 
	body BLOB NOT NULL, 
	timeout FLOAT, 
	caller_kind VARCHAR(16) NOT NULL, 
	PRIMARY KEY (run_id), 
	FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
INSERT INTO "run_requests" VALUES('run_0','0-run_requests.method','0-run_requests.path',X'00FF0072756E5F72657175657374732E7175657279','{"of": "run_requests.headers", "number": 0, "text": "Grüße, 世界"}',X'00FF0072756E5F72657175657374732E626F6479',0.25,'0-run_requests.c');
INSERT INTO "run_requests" VALUES('run_1','1-run_requests.method','1-run_requests.path',X'00FF0172756E5F72657175657374732E7175657279','{"of": "run_requests.headers", "number": 1, "text": "Grüße, 世界"}',X'00FF0172756E5F72657175657374732E626F6479',1.25,'1-run_requests.c');
CREATE TABLE runs (
	id VARCHAR(40) NOT NULL, 
	owner VARCHAR(64) NOT NULL, 
	service_id VARCHAR(80), 
	version INTEGER, 
	status VARCHAR(16) NOT NULL, 
	created_at BIGINT NOT NULL, 
	started_at BIGINT, 
	completed_at BIGINT, 
	response_status INTEGER, 
	response_content TEXT, 
	response_json JSON, 
	response_truncated BOOLEAN NOT NULL, 
	correlation_id VARCHAR(200), 
	parent_id VARCHAR(40), 
	idempotency_key VARCHAR(200), 
	error JSON, 
	attempts JSON NOT NULL, 
	steps JSON NOT NULL, 
	usage JSON NOT NULL, 
	timings JSON NOT NULL, 
	isolation VARCHAR(8), background BOOLEAN DEFAULT 0 NOT NULL, executor VARCHAR(32), running_at BIGINT, retries INTEGER DEFAULT '0' NOT NULL, in_queue BOOLEAN DEFAULT 0 NOT NULL, deliveries INTEGER DEFAULT '0' NOT NULL, depth INTEGER DEFAULT '0' NOT NULL, priority INTEGER DEFAULT '50' NOT NULL, not_before BIGINT, cancel_asked BOOLEAN DEFAULT 0 NOT NULL, schedule_id VARCHAR(40), key_id VARCHAR(32), cpu_seconds FLOAT, peak_memory BIGINT, cost FLOAT, waits_for VARCHAR(16), egress_in BIGINT, egress_out BIGINT, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_runs_idempotency UNIQUE (owner, service_id, idempotency_key)
);
INSERT INTO "runs" VALUES('run_0','ada','greeting_0',1,'succeeded',1750000000000000,1750000000000000,1750000000000000,0,'0-runs.response_content','{"of": "runs.response_json", "number": 0, "text": "Grüße, 世界"}',0,'0-runs.correlation_id','0-runs.parent_id','0-runs.idempotency_key','null','[]','[]','{}','{}','S',0,NULL,1750000000000000,0,0,0,0,0,NULL,0,'0-runs.schedule_id','0-runs.key_id',0.25,1750000000000000,0.25,NULL,1750000000000000,1750000000000000);
INSERT INTO "runs" VALUES('run_1','ada','greeting_0',1,'succeeded',1750000001000000,1750000001000000,1750000001000000,1,'1-runs.response_content','{"of": "runs.response_json", "number": 1, "text": "Grüße, 世界"}',1,'1-runs.correlation_id','1-runs.parent_id','1-runs.idempotency_key','null','[]','[]','{}','{}','S',1,NULL,1750000001000000,1,0,1,0,1,NULL,0,'1-runs.schedule_id','1-runs.key_id',1.25,1750000001000000,1.25,NULL,1750000001000000,1750000001000000);
CREATE TABLE schedules (
	id VARCHAR(40) NOT NULL, 
	owner VARCHAR(64) NOT NULL, 
	service_id VARCHAR(80) NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	method VARCHAR(32) NOT NULL, 
	path TEXT NOT NULL, 
	input JSON, 
	cron VARCHAR(200), 
	timezone VARCHAR(64) NOT NULL, 
	catch_up VARCHAR(8) NOT NULL, 
	overlap VARCHAR(8) NOT NULL, 
	jitter FLOAT NOT NULL, 
	paused BOOLEAN NOT NULL, 
	created_at BIGINT NOT NULL, 
	next_at BIGINT, 
	last_at BIGINT, 
	last_run_id VARCHAR(40), 
	missed INTEGER NOT NULL, 
	held_back INTEGER NOT NULL, 
	note TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "schedules" VALUES('0-schedules.id','ada','greeting_0','0-schedules.name','POST','0-schedules.path','{"of": "schedules.input", "number": 0, "text": "Grüße, 世界"}','0 9 * * *','Europe/Berlin','one','skip',0.25,0,1750000000000000,1750000000000000,1750000000000000,'0-schedules.last_run_id',0,0,'0-schedules.note');
INSERT INTO "schedules" VALUES('1-schedules.id','ada','greeting_0','1-schedules.name','POST','1-schedules.path','{"of": "schedules.input", "number": 1, "text": "Grüße, 世界"}','0 9 * * *','Europe/Berlin','one','skip',1.25,1,1750000001000000,1750000001000000,1750000001000000,'1-schedules.last_run_id',1,1,'1-schedules.note');
CREATE TABLE secrets (
	owner VARCHAR(64) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	key_id VARCHAR(32) NOT NULL, 
	ciphertext BLOB NOT NULL, 
	created_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, rule JSON, 
	PRIMARY KEY (owner, name)
);
INSERT INTO "secrets" VALUES('0-secrets.owner','0-secrets.name','0-secrets.key_id',X'00FF00736563726574732E63697068657274657874',1750000000000000,1750000000000000,'{"of": "secrets.rule", "number": 0, "text": "Grüße, 世界"}');
INSERT INTO "secrets" VALUES('1-secrets.owner','1-secrets.name','1-secrets.key_id',X'00FF01736563726574732E63697068657274657874',1750000001000000,1750000001000000,'{"of": "secrets.rule", "number": 1, "text": "Grüße, 世界"}');
CREATE TABLE service_values (
	owner VARCHAR(64) NOT NULL, 
	space VARCHAR(32) NOT NULL, 
	"key" VARCHAR(512) NOT NULL, 
	value TEXT NOT NULL, 
	expires_at BIGINT, 
	PRIMARY KEY (owner, space, "key")
);
INSERT INTO "service_values" VALUES('0-service_values.owner','0-service_values.space','0-service_values.key','0-service_values.value',1750000000000000);
INSERT INTO "service_values" VALUES('1-service_values.owner','1-service_values.space','1-service_values.key','1-service_values.value',1750000001000000);
CREATE TABLE versions (
	id VARCHAR(32) NOT NULL, 
	workflow_id VARCHAR(80) NOT NULL, 
	number INTEGER NOT NULL, 
	code TEXT NOT NULL, 
	code_hash VARCHAR(64) NOT NULL, 
	environment VARCHAR(64) NOT NULL, 
	openapi JSON NOT NULL, 
	checks JSON NOT NULL, 
	description TEXT NOT NULL, 
	created_at BIGINT NOT NULL, manifest JSON, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_versions_number UNIQUE (workflow_id, number), 
	FOREIGN KEY(workflow_id) REFERENCES workflows (id)
);
INSERT INTO "versions" VALUES('0-versions.id','greeting_0',1,'0-versions.code','0-versions.code_hash','0-versions.environment','{"of": "versions.openapi", "number": 0, "text": "Grüße, 世界"}','[]','0-versions.description',1750000000000000,'{"of": "versions.manifest", "number": 0, "text": "Grüße, 世界"}');
INSERT INTO "versions" VALUES('1-versions.id','greeting_1',1,'1-versions.code','1-versions.code_hash','1-versions.environment','{"of": "versions.openapi", "number": 1, "text": "Grüße, 世界"}','[]','1-versions.description',1750000001000000,'{"of": "versions.manifest", "number": 1, "text": "Grüße, 世界"}');
CREATE TABLE workflows (
	id VARCHAR(80) NOT NULL, 
	owner VARCHAR(64) NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	description TEXT NOT NULL, 
	public BOOLEAN NOT NULL, 
	created_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	active_version INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_workflows_owner_name UNIQUE (owner, name)
);
INSERT INTO "workflows" VALUES('greeting_0','ada','0-workflows.name','0-workflows.description',0,1750000000000000,1750000000000000,1);
INSERT INTO "workflows" VALUES('greeting_1','ada','1-workflows.name','1-workflows.description',1,1750000001000000,1750000001000000,1);
CREATE INDEX ix_runs_owner_created ON runs (owner, created_at);
CREATE INDEX ix_runs_owner_service ON runs (owner, service_id, created_at);
CREATE INDEX ix_runs_created ON runs (created_at);
CREATE INDEX ix_schedules_next ON schedules (next_at);
CREATE INDEX ix_schedules_owner ON schedules (owner);
CREATE INDEX ix_runs_schedule ON runs (schedule_id);
CREATE INDEX ix_model_usage_day ON model_usage (day);
CREATE INDEX ix_model_usage_run ON model_usage (run_id);
CREATE INDEX ix_runs_status_owner ON runs (status, owner, created_at);
CREATE INDEX ix_service_values_expires ON service_values (expires_at);
CREATE INDEX ix_outbox_owner ON outbox (owner, created_at);
COMMIT;
