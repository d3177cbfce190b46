BEGIN TRANSACTION;
CREATE TABLE agreements (
	owner VARCHAR(64) NOT NULL, 
	workflow_id VARCHAR(80) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	manifest JSON NOT NULL, 
	agreed_at BIGINT NOT NULL, 
	PRIMARY KEY (owner, workflow_id), 
	FOREIGN KEY(workflow_id) REFERENCES workflows (id) ON DELETE CASCADE
);
INSERT INTO "agreements" VALUES('0-agreements.owner','greeting_0','0-agreements.digest','{"of": "agreements.manifest", "number": 0, "text": "Grüße, 世界"}',1750000000000000);
INSERT INTO "agreements" VALUES('1-agreements.owner','greeting_1','1-agreements.digest','{"of": "agreements.manifest", "number": 1, "text": "Grüße, 世界"}',1750000001000000);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0043');
CREATE TABLE browsers (
	owner VARCHAR(64) NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	name VARCHAR(120) NOT NULL, 
	version VARCHAR(32) NOT NULL, 
	url VARCHAR(300) NOT NULL, 
	paired_at BIGINT NOT NULL, 
	seen_at BIGINT NOT NULL, 
	executor VARCHAR(32), 
	PRIMARY KEY (owner), 
	UNIQUE (hash)
);
INSERT INTO "browsers" VALUES('0-browsers.owner','0-browsers.hash','0-browsers.name','0-browsers.version','0-browsers.url',1750000000000000,1750000000000000,'0-browsers.executor');
INSERT INTO "browsers" VALUES('1-browsers.owner','1-browsers.hash','1-browsers.name','1-browsers.version','1-browsers.url',1750000001000000,1750000001000000,'1-browsers.executor');
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
CREATE TABLE drafts (
	id VARCHAR(40) NOT NULL, 
	owner VARCHAR(64) NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	code TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	workflow_id VARCHAR(80), 
	base_version INTEGER, 
	asked VARCHAR(64), 
	facts JSON NOT NULL, 
	created_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	expires_at BIGINT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "drafts" VALUES('0-drafts.id','ada','0-drafts.name','0-drafts.code',0,'greeting_0',0,'0-drafts.asked','{"of": "drafts.facts", "number": 0, "text": "Grüße, 世界"}',1750000000000000,1750000000000000,1750000000000000);
INSERT INTO "drafts" VALUES('1-drafts.id','ada','1-drafts.name','1-drafts.code',1,'greeting_0',1,'1-drafts.asked','{"of": "drafts.facts", "number": 1, "text": "Grüße, 世界"}',1750000001000000,1750000001000000,1750000001000000);
CREATE TABLE executors (
	id VARCHAR(32) NOT NULL, 
	version VARCHAR(32) NOT NULL, 
	started_at BIGINT NOT NULL, 
	seen_at BIGINT NOT NULL, key_ids JSON, 
	PRIMARY KEY (id)
);
INSERT INTO "executors" VALUES('0-executors.id','0-executors.version',1750000000000000,1750000000000000,'{"of": "executors.key_ids", "number": 0, "text": "Grüße, 世界"}');
INSERT INTO "executors" VALUES('1-executors.id','1-executors.version',1750000001000000,1750000001000000,'{"of": "executors.key_ids", "number": 1, "text": "Grüße, 世界"}');
CREATE TABLE files (
	id VARCHAR(32) NOT NULL, 
	owner VARCHAR(64) NOT NULL, 
	filename VARCHAR(255) NOT NULL, 
	content_type VARCHAR(255), 
	size BIGINT, 
	created_at BIGINT NOT NULL, 
	expires_at BIGINT NOT NULL, stored_as VARCHAR(64), maker VARCHAR(80), 
	PRIMARY KEY (id)
);
INSERT INTO "files" VALUES('0-files.id','ada','0-files.filename','0-files.content_type',1750000000000000,1750000000000000,1750000000000000,'0-files.stored_as','0-files.maker');
INSERT INTO "files" VALUES('1-files.id','ada','1-files.filename','1-files.content_type',1750000001000000,1750000001000000,1750000001000000,'1-files.stored_as','1-files.maker');
CREATE TABLE integrations (
	project VARCHAR(100) NOT NULL, 
	kind VARCHAR(8) NOT NULL, 
	"key" VARCHAR(200) NOT NULL, 
	read_at BIGINT NOT NULL, 
	data JSON NOT NULL, 
	PRIMARY KEY (project, kind, "key")
);
INSERT INTO "integrations" VALUES('0-integrations.project','0-integr','0-integrations.key',1750000000000000,'{"of": "integrations.data", "number": 0, "text": "Grüße, 世界"}');
INSERT INTO "integrations" VALUES('1-integrations.project','1-integr','1-integrations.key',1750000001000000,'{"of": "integrations.data", "number": 1, "text": "Grüße, 世界"}');
CREATE TABLE key_use (
	id INTEGER NOT NULL, 
	key_id VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "key_use" VALUES(0,'0-key_use.key_id');
INSERT INTO "key_use" VALUES(1,'1-key_use.key_id');
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
	revoked BOOLEAN NOT NULL, models JSON, scopes JSON, toolsets JSON, 
	PRIMARY KEY (id), 
	UNIQUE (hash)
);
INSERT INTO "keys" VALUES('0-keys.id','0-keys.hash','0-keys.prefix','ada','api',0,1750000000000000,1750000000000000,1750000000000000,0,'["openai/*"]','["run"]','null');
INSERT INTO "keys" VALUES('1-keys.id','1-keys.hash','1-keys.prefix','ada','api',1,1750000001000000,1750000001000000,1750000001000000,0,'["openai/*"]','["run"]','null');
CREATE TABLE links (
	id VARCHAR(64) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	owner VARCHAR(64) NOT NULL, 
	subject VARCHAR(64) NOT NULL, 
	key_id VARCHAR(32) NOT NULL, 
	sealed BLOB NOT NULL, 
	answer VARCHAR(16), 
	created_at BIGINT NOT NULL, 
	expires_at BIGINT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "links" VALUES('0-links.id','0-links.kind','ada','0-links.subject','0-links.key_id',X'00FF006C696E6B732E7365616C6564','0-links.answer',1750000000000000,1750000000000000);
INSERT INTO "links" VALUES('1-links.id','1-links.kind','ada','1-links.subject','1-links.key_id',X'00FF016C696E6B732E7365616C6564','1-links.answer',1750000001000000,1750000001000000);
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
CREATE TABLE login_sessions (
	id VARCHAR(64) NOT NULL, 
	owner VARCHAR(64) NOT NULL, 
	app VARCHAR(80) NOT NULL, 
	email VARCHAR(320) NOT NULL, 
	created_at BIGINT NOT NULL, 
	expires_at BIGINT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "login_sessions" VALUES('0-login_sessions.id','ada','0-login_sessions.app','0-login_sessions.email',1750000000000000,1750000000000000);
INSERT INTO "login_sessions" VALUES('1-login_sessions.id','ada','1-login_sessions.app','1-login_sessions.email',1750000001000000,1750000001000000);
CREATE TABLE logins (
	id VARCHAR(64) NOT NULL, 
	owner VARCHAR(64) NOT NULL, 
	app VARCHAR(80) NOT NULL, 
	email VARCHAR(320) NOT NULL, 
	code VARCHAR(64), 
	link VARCHAR(64), 
	ticket VARCHAR(64), 
	title VARCHAR(100) NOT NULL, 
	return_url TEXT NOT NULL, 
	session_seconds INTEGER NOT NULL, 
	tries INTEGER NOT NULL, 
	created_at BIGINT NOT NULL, 
	expires_at BIGINT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (link), 
	UNIQUE (ticket)
);
INSERT INTO "logins" VALUES('0-logins.id','ada','0-logins.app','0-logins.email','0-logins.code','0-logins.link','0-logins.ticket','0-logins.title','0-logins.return_url',0,0,1750000000000000,1750000000000000);
INSERT INTO "logins" VALUES('1-logins.id','ada','1-logins.app','1-logins.email','1-logins.code','1-logins.link','1-logins.ticket','1-logins.title','1-logins.return_url',1,1,1750000001000000,1750000001000000);
CREATE TABLE marks (
	id VARCHAR(64) NOT NULL, 
	number BIGINT NOT NULL, 
	at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "marks" VALUES('0-marks.id',1750000000000000,'2999-01-01 12:00:00.000000');
INSERT INTO "marks" VALUES('1-marks.id',1750000001000000,'2999-01-01 12:01:00.000000');
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
	unpriced BIGINT NOT NULL, fallbacks BIGINT DEFAULT '0' NOT NULL, cached BIGINT DEFAULT '0' NOT NULL, summed BOOLEAN, 
	PRIMARY KEY (id)
);
INSERT INTO "model_usage" VALUES('0-model_usage.id','2025-06-15','ada','greeting_0','0-model_usage.key_id','run_0',0,'0-model_usage.pr','0-model_usage.model',1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1);
INSERT INTO "model_usage" VALUES('1-model_usage.id','2025-06-15','ada','greeting_0','1-model_usage.key_id','run_0',1,'1-model_usage.pr','1-model_usage.model',1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1);
CREATE TABLE model_usage_days (
	dimension VARCHAR(8) NOT NULL, 
	subject VARCHAR(220) NOT NULL, 
	owner VARCHAR(64) NOT NULL, 
	day VARCHAR(10) NOT NULL, 
	by_run BOOLEAN NOT NULL, 
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
	unpriced BIGINT NOT NULL, 
	fallbacks BIGINT NOT NULL, 
	cached BIGINT NOT NULL, 
	PRIMARY KEY (dimension, subject, owner, day, by_run)
);
INSERT INTO "model_usage_days" VALUES('0-model_','0-model_usage_days.subject','0-model_usage_days.owner','2025-06-15',0,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000);
INSERT INTO "model_usage_days" VALUES('1-model_','1-model_usage_days.subject','1-model_usage_days.owner','2025-06-15',1,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000);
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
CREATE TABLE published (
	owner VARCHAR(64) NOT NULL, 
	tool VARCHAR(64) NOT NULL, 
	workflow_id VARCHAR(80) NOT NULL, 
	toolset VARCHAR(32) NOT NULL, 
	route VARCHAR(200) NOT NULL, 
	method VARCHAR(8) NOT NULL, 
	read_only BOOLEAN NOT NULL, 
	created_at BIGINT NOT NULL, 
	PRIMARY KEY (owner, tool), 
	FOREIGN KEY(workflow_id) REFERENCES workflows (id) ON DELETE CASCADE
);
INSERT INTO "published" VALUES('0-published.owner','0-published.tool','greeting_0','0-published.toolset','0-published.route','0-publis',0,1750000000000000);
INSERT INTO "published" VALUES('1-published.owner','1-published.tool','greeting_1','1-published.toolset','1-published.route','1-publis',1,1750000001000000);
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
	isolation VARCHAR(8), background BOOLEAN DEFAULT 0 NOT NULL, executor VARCHAR(32), running_at BIGINT, retries INTEGER DEFAULT '0' NOT NULL, in_queue BOOLEAN DEFAULT 0 NOT NULL, deliveries INTEGER DEFAULT '0' NOT NULL, depth INTEGER DEFAULT '0' NOT NULL, priority INTEGER DEFAULT '50' NOT NULL, not_before BIGINT, cancel_asked BOOLEAN DEFAULT 0 NOT NULL, schedule_id VARCHAR(40), key_id VARCHAR(32), cpu_seconds FLOAT, peak_memory BIGINT, cost FLOAT, waits_for VARCHAR(16), egress_in BIGINT, egress_out BIGINT, summed BOOLEAN, input JSON, made_by JSON, response_file JSON, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_runs_idempotency UNIQUE (owner, service_id, idempotency_key)
);
INSERT INTO "runs" VALUES('run_0','ada','greeting_0',1,'succeeded',1750000000000000,1750000000000000,1750000000000000,0,'0-runs.response_content','{"of": "runs.response_json", "number": 0, "text": "Grüße, 世界"}',0,'0-runs.correlation_id','0-runs.parent_id','0-runs.idempotency_key','null','[]','[]','{}','{}','S',0,NULL,1750000000000000,0,0,0,0,0,NULL,0,'0-runs.schedule_id','0-runs.key_id',0.25,1750000000000000,0.25,NULL,1750000000000000,1750000000000000,1,'{"method": "POST", "path": "/greet", "content": "{}"}','{"workflow": "greeting_0", "depth": 1, "services": ["greeting_0"], "key_id": null}','{"file_id": "f", "filename": "a.pdf", "content_type": "application/pdf", "size": 5}');
INSERT INTO "runs" VALUES('run_1','ada','greeting_0',1,'succeeded',1750000001000000,1750000001000000,1750000001000000,1,'1-runs.response_content','{"of": "runs.response_json", "number": 1, "text": "Grüße, 世界"}',1,'1-runs.correlation_id','1-runs.parent_id','1-runs.idempotency_key','null','[]','[]','{}','{}','S',1,NULL,1750000001000000,1,0,1,0,1,NULL,0,'1-runs.schedule_id','1-runs.key_id',1.25,1750000001000000,1.25,NULL,1750000001000000,1750000001000000,1,'{"method": "POST", "path": "/greet", "content": "{}"}','{"workflow": "greeting_0", "depth": 1, "services": ["greeting_0"], "key_id": null}','{"file_id": "f", "filename": "a.pdf", "content_type": "application/pdf", "size": 5}');
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
	note TEXT NOT NULL, key_id VARCHAR(32), maker VARCHAR(80), made_by JSON, 
	PRIMARY KEY (id)
);
INSERT INTO "schedules" VALUES('0-schedules.id','ada','greeting_0','0-schedules.name','POST','0-schedules.path','{"of": "schedules.input", "number": 0, "text": "Grüße, 世界"}','0 9 * * *','Europe/Berlin','one','skip',0.25,0,1750000000000000,1750000000000000,1750000000000000,'0-schedules.last_run_id',0,0,'0-schedules.note','0-schedules.key_id','0-schedules.maker','{"workflow": "greeting_0", "depth": 1, "services": ["greeting_0"], "key_id": null}');
INSERT INTO "schedules" VALUES('1-schedules.id','ada','greeting_0','1-schedules.name','POST','1-schedules.path','{"of": "schedules.input", "number": 1, "text": "Grüße, 世界"}','0 9 * * *','Europe/Berlin','one','skip',1.25,1,1750000001000000,1750000001000000,1750000001000000,'1-schedules.last_run_id',1,1,'1-schedules.note','1-schedules.key_id','1-schedules.maker','{"workflow": "greeting_0", "depth": 1, "services": ["greeting_0"], "key_id": null}');
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
CREATE TABLE tasks (
	id VARCHAR(48) NOT NULL, 
	principal VARCHAR(240) NOT NULL, 
	tool VARCHAR(64) NOT NULL, 
	arguments TEXT NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	message TEXT, 
	created_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	expires_at BIGINT NOT NULL, 
	executor VARCHAR(32) NOT NULL, 
	beat_at BIGINT NOT NULL, 
	outcome TEXT, 
	asks TEXT, 
	answers TEXT, 
	cancel_asked BOOLEAN NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "tasks" VALUES('0-tasks.id','0-tasks.principal','0-tasks.tool','0-tasks.arguments','0-tasks.status','0-tasks.message',1750000000000000,1750000000000000,1750000000000000,'0-tasks.executor',1750000000000000,'0-tasks.outcome','0-tasks.asks','0-tasks.answers',0);
INSERT INTO "tasks" VALUES('1-tasks.id','1-tasks.principal','1-tasks.tool','1-tasks.arguments','1-tasks.status','1-tasks.message',1750000001000000,1750000001000000,1750000001000000,'1-tasks.executor',1750000001000000,'1-tasks.outcome','1-tasks.asks','1-tasks.answers',1);
CREATE TABLE usage_days (
	dimension VARCHAR(8) NOT NULL, 
	subject VARCHAR(80) NOT NULL, 
	owner VARCHAR(64) NOT NULL, 
	day BIGINT NOT NULL, 
	runs BIGINT NOT NULL, 
	succeeded BIGINT NOT NULL, 
	failed BIGINT NOT NULL, 
	waiting BIGINT NOT NULL, 
	starting BIGINT NOT NULL, 
	running BIGINT NOT NULL, 
	cpu_seconds FLOAT NOT NULL, 
	peak_memory BIGINT, 
	cost FLOAT, 
	egress_in BIGINT NOT NULL, 
	egress_out BIGINT NOT NULL, 
	PRIMARY KEY (dimension, subject, owner, day)
);
INSERT INTO "usage_days" VALUES('0-usage_','0-usage_days.subject','0-usage_days.owner',1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,1750000000000000,0.25,1750000000000000,0.25,1750000000000000,1750000000000000);
INSERT INTO "usage_days" VALUES('1-usage_','1-usage_days.subject','1-usage_days.owner',1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1750000001000000,1.25,1750000001000000,1.25,1750000001000000,1750000001000000);
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
	created_at BIGINT NOT NULL, manifest JSON, example JSON, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_versions_number UNIQUE (workflow_id, number), 
	FOREIGN KEY(workflow_id) REFERENCES workflows (id)
);
INSERT INTO "versions" VALUES('0-versions.id','greeting_0',1,'0-versions.code','0-versions.code_hash','0-versions.environment','{"of": "versions.openapi", "number": 0, "text": "Grüße, 世界"}','[]','0-versions.description',1750000000000000,'{"of": "versions.manifest", "number": 0, "text": "Grüße, 世界"}','{"of": "versions.example", "number": 0, "text": "Grüße, 世界"}');
INSERT INTO "versions" VALUES('1-versions.id','greeting_1',1,'1-versions.code','1-versions.code_hash','1-versions.environment','{"of": "versions.openapi", "number": 1, "text": "Grüße, 世界"}','[]','1-versions.description',1750000001000000,'{"of": "versions.manifest", "number": 1, "text": "Grüße, 世界"}','{"of": "versions.example", "number": 1, "text": "Grüße, 世界"}');
CREATE TABLE webhook_deliveries (
	id VARCHAR(40) NOT NULL, 
	endpoint VARCHAR(64) NOT NULL, 
	"key" VARCHAR(64) NOT NULL, 
	owner VARCHAR(64) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	event VARCHAR(100) NOT NULL, 
	about JSON NOT NULL, 
	status VARCHAR(12) NOT NULL, 
	reason TEXT NOT NULL, 
	received_at BIGINT NOT NULL, 
	due_at BIGINT NOT NULL, 
	tries INTEGER NOT NULL, 
	round INTEGER NOT NULL, 
	repeats INTEGER NOT NULL, 
	headers JSON NOT NULL, 
	body BLOB NOT NULL, 
	size INTEGER NOT NULL, 
	runs JSON NOT NULL, made_by JSON, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_webhook_deliveries_key UNIQUE (endpoint, "key")
);
INSERT INTO "webhook_deliveries" VALUES('0-webhook_deliveries.id','0-webhook_deliveries.endpoint','0-webhook_deliveries.key','ada','0-webhook_delive','0-webhook_deliveries.event','{"of": "webhook_deliveries.about", "number": 0, "text": "Grüße, 世界"}','delivered','0-webhook_deliveries.reason',1750000000000000,1750000000000000,0,0,0,'{"of": "webhook_deliveries.headers", "number": 0, "text": "Grüße, 世界"}',X'00FF00776562686F6F6B5F64656C697665726965732E626F6479',0,'[]','{"workflow": "greeting_0", "depth": 1, "services": ["greeting_0"], "key_id": null}');
INSERT INTO "webhook_deliveries" VALUES('1-webhook_deliveries.id','1-webhook_deliveries.endpoint','1-webhook_deliveries.key','ada','1-webhook_delive','1-webhook_deliveries.event','{"of": "webhook_deliveries.about", "number": 1, "text": "Grüße, 世界"}','delivered','1-webhook_deliveries.reason',1750000001000000,1750000001000000,1,1,1,'{"of": "webhook_deliveries.headers", "number": 1, "text": "Grüße, 世界"}',X'00FF01776562686F6F6B5F64656C697665726965732E626F6479',1,'[]','{"workflow": "greeting_0", "depth": 1, "services": ["greeting_0"], "key_id": null}');
CREATE TABLE webhooks (
	id VARCHAR(40) NOT NULL, 
	endpoint VARCHAR(64) NOT NULL, 
	owner VARCHAR(64) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	service_id VARCHAR(80) NOT NULL, 
	path TEXT NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	filters JSON NOT NULL, 
	secret VARCHAR(64), 
	created_at BIGINT NOT NULL, maker VARCHAR(80), made_by JSON, key_id VARCHAR(32), 
	PRIMARY KEY (id)
);
INSERT INTO "webhooks" VALUES('0-webhooks.id','0-webhooks.endpoint','ada','0-webhooks.kind','greeting_0','0-webhooks.path','0-webhooks.name','[]','0-webhooks.secret',1750000000000000,'0-webhooks.maker','{"workflow": "greeting_0", "depth": 1, "services": ["greeting_0"], "key_id": null}','0-webhooks.key_id');
INSERT INTO "webhooks" VALUES('1-webhooks.id','1-webhooks.endpoint','ada','1-webhooks.kind','greeting_0','1-webhooks.path','1-webhooks.name','[]','1-webhooks.secret',1750000001000000,'1-webhooks.maker','{"workflow": "greeting_0", "depth": 1, "services": ["greeting_0"], "key_id": null}','1-webhooks.key_id');
CREATE TABLE workflows (
	id VARCHAR(80) NOT NULL, 
	owner VARCHAR(64) NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	description TEXT NOT NULL, 
	public BOOLEAN NOT NULL, 
	created_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	active_version INTEGER NOT NULL, template VARCHAR(40), 
	PRIMARY KEY (id), 
	CONSTRAINT uq_workflows_owner_name UNIQUE (owner, name)
);
INSERT INTO "workflows" VALUES('greeting_0','ada','0-workflows.name','0-workflows.description',0,1750000000000000,1750000000000000,1,NULL);
INSERT INTO "workflows" VALUES('greeting_1','ada','1-workflows.name','1-workflows.description',1,1750000001000000,1750000001000000,1,NULL);
CREATE INDEX ix_runs_created ON runs (created_at);
CREATE INDEX ix_schedules_next ON schedules (next_at);
CREATE INDEX ix_schedules_owner ON schedules (owner);
CREATE INDEX ix_runs_schedule ON runs (schedule_id);
CREATE INDEX ix_model_usage_day ON model_usage (day);
CREATE INDEX ix_model_usage_run ON model_usage (run_id);
CREATE INDEX ix_service_values_expires ON service_values (expires_at);
CREATE INDEX ix_outbox_owner ON outbox (owner, created_at);
CREATE INDEX ix_runs_owner_created ON runs (owner, created_at, id);
CREATE INDEX ix_runs_owner_service ON runs (owner, service_id, created_at, id);
CREATE INDEX ix_runs_status_owner ON runs (status, owner, created_at, id);
CREATE INDEX ix_links_subject ON links (kind, owner, subject);
CREATE INDEX ix_links_expires ON links (expires_at);
CREATE INDEX ix_webhooks_endpoint ON webhooks (endpoint);
CREATE INDEX ix_webhooks_owner ON webhooks (owner);
CREATE INDEX ix_webhook_deliveries_owner ON webhook_deliveries (owner, received_at);
CREATE INDEX ix_webhook_deliveries_due ON webhook_deliveries (status, due_at);
CREATE INDEX ix_logins_app ON logins (owner, app, created_at);
CREATE INDEX ix_logins_created ON logins (created_at);
CREATE INDEX ix_login_sessions_expires ON login_sessions (expires_at);
CREATE INDEX ix_drafts_owner ON drafts (owner, updated_at);
CREATE INDEX ix_drafts_expires ON drafts (expires_at);
CREATE INDEX ix_tasks_expires ON tasks (expires_at);
CREATE INDEX ix_published_workflow ON published (workflow_id);
CREATE INDEX ix_usage_days_day ON usage_days (dimension, day);
CREATE INDEX ix_model_usage_days_day ON model_usage_days (dimension, day);
CREATE INDEX ix_runs_unsummed ON runs (created_at) WHERE summed IS NULL AND status <> 'provisioned';
CREATE INDEX ix_model_usage_unsummed ON model_usage (day) WHERE summed IS NULL;
CREATE INDEX ix_runs_parent ON runs (parent_id);
COMMIT;
