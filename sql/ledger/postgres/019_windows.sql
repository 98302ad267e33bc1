-- The windows of limits of money that a hold counts in: sql/ledger/019_windows.sql.

ALTER TABLE item ADD COLUMN window_1 bigint NOT NULL DEFAULT 0;
ALTER TABLE item ADD COLUMN window_2 bigint NOT NULL DEFAULT 0;
ALTER TABLE item ADD COLUMN window_3 bigint NOT NULL DEFAULT 0;
