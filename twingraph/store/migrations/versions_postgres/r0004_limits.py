"""Who holds named limits, and what each conductor waits for.

Revision: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"

STATEMENTS = """
create table limit_holders (
    name      text   not null,
    execution bigint not null,
    node      text   not null,
    primary key (execution, node, name)
);
create index limit_holders_name on limit_holders (name);

create table limit_wishes (
    conductor text             not null,
    limits    text             not null,
    priority  integer          not null,
    asked     double precision not null,
    primary key (conductor, limits)
);
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
