"""Why an execution is paused; finding what a conductor holds without a scan.

Revision: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("alter table executions add column reason text")
    op.execute("create index executions_owner on executions (owner) where owner is not null")
