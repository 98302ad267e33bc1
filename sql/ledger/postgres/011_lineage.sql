-- sql/ledger/011_lineage.sql.

CREATE INDEX key_replaced_by ON key (replaced_by) WHERE replaced_by <> 0;
