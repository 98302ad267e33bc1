-- Which key another one has taken the place of, without a look at every key.

CREATE INDEX key_replaced_by ON key (replaced_by) WHERE replaced_by <> 0;
