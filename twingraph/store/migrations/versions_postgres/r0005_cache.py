"""Outcomes that equal work may use again, and who is at work that others wait for.

Revision: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"

STATEMENTS = """
create table cache (
    scope     text             not null,
    work      text             not null,
    execution bigint           not null,
    node      text             not null,
    seq       bigint           not null,
    begun_at  double precision not null,
    done_at   double precision not null,
    component text             not null,
    parts     text             not null,
    primary key (scope, work)
);
create index cache_component on cache (component, done_at);
create index cache_execution on cache (execution);

create table cache_claims (
    scope     text             not null,
    work      text             not null,
    execution bigint           not null,
    node      text             not null,
    begun_at  double precision not null,
    primary key (scope, work)
);
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
