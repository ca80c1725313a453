"""What the bodies of a code version would call, as far as that is known before they run.

Revision: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"

PLANS = """
create table plans (
    code_version text not null,
    entry        text not null,
    body         text not null,
    created_at   real not null,
    primary key (code_version, entry)
) without rowid
"""


def upgrade() -> None:
    op.execute(PLANS)
