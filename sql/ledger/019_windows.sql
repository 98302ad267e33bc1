-- The windows of limits of money that a hold counts in (budget.id), so that what comes back of it comes back there as well.

ALTER TABLE item ADD COLUMN window_1 INTEGER NOT NULL DEFAULT 0; -- 0: none
ALTER TABLE item ADD COLUMN window_2 INTEGER NOT NULL DEFAULT 0;
ALTER TABLE item ADD COLUMN window_3 INTEGER NOT NULL DEFAULT 0;
