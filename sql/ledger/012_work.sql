-- Work at a provider that outlives its connection, and is paid when it has ended: what is set aside for it is an item.

CREATE TABLE work (
	id INTEGER PRIMARY KEY, -- the request that began it
	account INTEGER NOT NULL REFERENCES account (id),
	state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3), -- enum work_state
	nano INTEGER NOT NULL CHECK (nano > 0), -- to be set aside
	hold INTEGER NOT NULL DEFAULT 0, -- the item; 0: not yet
	object BLOB NOT NULL DEFAULT x'' CHECK (length(object) <= 240), -- its id, sealed: of use to an edge alone
	created_us INTEGER NOT NULL,
	due_us INTEGER NOT NULL, -- when to look at it again
	looks INTEGER NOT NULL DEFAULT 0,
	CHECK (state = 0 OR hold <> 0),
	CHECK (state <> 2 OR length(object) > 0)
) STRICT;
CREATE INDEX work_due ON work (due_us) WHERE state < 3;
CREATE TRIGGER work_ends_once BEFORE UPDATE ON work
WHEN OLD.state = 3 OR NEW.state < OLD.state OR NEW.id <> OLD.id OR NEW.account <> OLD.account OR NEW.nano <> OLD.nano OR (OLD.hold <> 0 AND NEW.hold <> OLD.hold)
BEGIN SELECT raise(ABORT, 'INV-11: work ends once'); END;
CREATE TRIGGER work_stays BEFORE DELETE ON work WHEN OLD.state <> 0 BEGIN SELECT raise(ABORT, 'INV-11: work is never deleted'); END;
