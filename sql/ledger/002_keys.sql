-- Which key took a key's place, and the day of a key's last use without a look at every day.

ALTER TABLE key ADD COLUMN replaced_by INTEGER NOT NULL DEFAULT 0; -- 0: none

CREATE INDEX usage_day_key ON usage_day (key, day);
