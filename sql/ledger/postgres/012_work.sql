-- Work at a provider that outlives its connection: sql/ledger/012_work.sql.

CREATE TABLE work (
	id bigint PRIMARY KEY,
	account bigint NOT NULL REFERENCES account (id),
	state bigint NOT NULL CHECK (state BETWEEN 0 AND 3),
	nano bigint NOT NULL CHECK (nano > 0),
	hold bigint NOT NULL DEFAULT 0,
	object bytea NOT NULL DEFAULT '' CHECK (length(object) <= 240),
	created_us bigint NOT NULL,
	due_us bigint NOT NULL,
	looks bigint NOT NULL DEFAULT 0,
	CHECK (state = 0 OR hold <> 0),
	CHECK (state <> 2 OR length(object) > 0)
);
CREATE INDEX work_due ON work (due_us) WHERE state < 3;
CREATE TRIGGER work_ends_once BEFORE UPDATE ON work FOR EACH ROW
WHEN (OLD.state = 3 OR NEW.state < OLD.state OR NEW.id <> OLD.id OR NEW.account <> OLD.account OR NEW.nano <> OLD.nano OR (OLD.hold <> 0 AND NEW.hold <> OLD.hold))
EXECUTE FUNCTION lethe_refuse('INV-11: work ends once');
CREATE TRIGGER work_stays BEFORE DELETE ON work FOR EACH ROW WHEN (OLD.state <> 0) EXECUTE FUNCTION lethe_refuse('INV-11: work is never deleted');
