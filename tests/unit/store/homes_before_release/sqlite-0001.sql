BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
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
	revoked BOOLEAN NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (hash)
);
INSERT INTO "keys" VALUES('0-keys.id','0-keys.hash','0-keys.prefix','ada','api',0,1750000000000000,1750000000000000,1750000000000000,0);
INSERT INTO "keys" VALUES('1-keys.id','1-keys.hash','1-keys.prefix','ada','api',1,1750000001000000,1750000001000000,1750000001000000,0);
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
	isolation VARCHAR(8), 
	PRIMARY KEY (id), 
	CONSTRAINT uq_runs_idempotency UNIQUE (owner, service_id, idempotency_key)
);
INSERT INTO "runs" VALUES('run_0','ada','greeting_0',1,'succeeded',1750000000000000,1750000000000000,1750000000000000,0,'0-runs.response_content','{"of": "runs.response_json", "number": 0, "text": "Grüße, 世界"}',0,'0-runs.correlation_id','0-runs.parent_id','0-runs.idempotency_key','null','[]','[]','{}','{}','S');
INSERT INTO "runs" VALUES('run_1','ada','greeting_0',1,'succeeded',1750000001000000,1750000001000000,1750000001000000,1,'1-runs.response_content','{"of": "runs.response_json", "number": 1, "text": "Grüße, 世界"}',1,'1-runs.correlation_id','1-runs.parent_id','1-runs.idempotency_key','null','[]','[]','{}','{}','S');
CREATE TABLE secrets (
	owner VARCHAR(64) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	key_id VARCHAR(32) NOT NULL, 
	ciphertext BLOB NOT NULL, 
	created_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	PRIMARY KEY (owner, name)
);
INSERT INTO "secrets" VALUES('0-secrets.owner','0-secrets.name','0-secrets.key_id',X'00FF00736563726574732E63697068657274657874',1750000000000000,1750000000000000);
INSERT INTO "secrets" VALUES('1-secrets.owner','1-secrets.name','1-secrets.key_id',X'00FF01736563726574732E63697068657274657874',1750000001000000,1750000001000000);
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
	created_at BIGINT NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_versions_number UNIQUE (workflow_id, number), 
	FOREIGN KEY(workflow_id) REFERENCES workflows (id)
);
INSERT INTO "versions" VALUES('0-versions.id','greeting_0',1,'0-versions.code','0-versions.code_hash','0-versions.environment','{"of": "versions.openapi", "number": 0, "text": "Grüße, 世界"}','[]','0-versions.description',1750000000000000);
INSERT INTO "versions" VALUES('1-versions.id','greeting_1',1,'1-versions.code','1-versions.code_hash','1-versions.environment','{"of": "versions.openapi", "number": 1, "text": "Grüße, 世界"}','[]','1-versions.description',1750000001000000);
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
CREATE INDEX ix_runs_status ON runs (status);
COMMIT;
