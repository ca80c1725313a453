-- The whole schema, as a fresh home gets it. `migrations/` leads an older home to the same; a test compares the two.

create table executions (
    number       integer primary key,
    id           text    not null unique,
    workflow_id  text    not null,
    name         text    not null,
    status       text    not null,
    created_at   real    not null,
    started_at   real,
    completed_at real,
    total        integer not null default 0,
    completed    integer not null default 0,
    running      integer not null default 0,
    failed       integer not null default 0,
    skipped      integer not null default 0,
    error        text,
    owner        text,
    epoch        integer not null default 1,
    seq          integer not null default 0,
    target       text,
    origin       text    not null,
    code_version text,
    replay_of    text,
    version      integer not null,
    reason       text
);
create index executions_created on executions (created_at);
create index executions_status on executions (status, created_at);
create index executions_workflow on executions (workflow_id, created_at);
create index executions_owner on executions (owner) where owner is not null;

create table events (
    execution integer not null,
    seq       integer not null,
    kind      text    not null,
    at        real    not null,
    body      text    not null,
    data      text,
    cause     integer,
    actor     text,
    version   integer not null,
    primary key (execution, seq)
) without rowid;

create table snapshots (
    execution integer primary key,
    seq       integer not null,
    state     text    not null,
    version   integer not null
);

create table logs (
    seq       integer primary key,
    execution integer not null,
    at        real    not null,
    level     integer not null,
    node      text,
    component text,
    attempt   integer,
    stream    text    not null,
    message   text    not null
);
create index logs_execution on logs (execution, seq);

create table inbox (
    id        integer primary key autoincrement,
    execution integer not null,
    kind      text    not null,
    body      text    not null,
    at        real    not null
);

create table code (
    version    text primary key,
    body       text not null,
    created_at real not null
);

create table plans (
    code_version text not null,
    entry        text not null,
    body         text not null,
    created_at   real not null,
    primary key (code_version, entry)
) without rowid;

create table limit_holders (
    name      text    not null,
    execution integer not null,
    node      text    not null,
    primary key (execution, node, name)
) without rowid;
create index limit_holders_name on limit_holders (name);

create table limit_wishes (
    conductor text    not null,
    limits    text    not null,
    priority  integer not null,
    asked     real    not null,
    primary key (conductor, limits)
) without rowid;

create table cache (
    scope     text    not null,
    work      text    not null,
    execution integer not null,
    node      text    not null,
    seq       integer not null,
    begun_at  real    not null,
    done_at   real    not null,
    component text    not null,
    parts     text    not null,
    primary key (scope, work)
) without rowid;
create index cache_component on cache (component, done_at);
create index cache_execution on cache (execution);

create table cache_claims (
    scope     text    not null,
    work      text    not null,
    execution integer not null,
    node      text    not null,
    begun_at  real    not null,
    primary key (scope, work)
) without rowid;

create table alembic_version (
    version_num varchar(32) not null primary key
);
