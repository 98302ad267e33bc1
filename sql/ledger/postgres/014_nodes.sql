-- Servers on one store: docs/decisions/0070-nodes.md.

CREATE TABLE node (
	id bigint PRIMARY KEY CHECK (id BETWEEN 0 AND 255),
	fence bigint NOT NULL CHECK (fence > 0),
	state bigint NOT NULL CHECK (state BETWEEN 1 AND 3),
	joined_us bigint NOT NULL,
	seen_us bigint NOT NULL
) WITH (fillfactor = 50);

-- One writes at a time: who has this row. turn: transactions that were committed; fence: the highest that was given.
CREATE TABLE pen (
	one bigint PRIMARY KEY CHECK (one = 1),
	turn bigint NOT NULL,
	fence bigint NOT NULL,
	pepper bytea -- what all nodes must have in common, hashed
) WITH (fillfactor = 50);
INSERT INTO pen (one, turn, fence) VALUES (1, 0, 0);

-- Sums of usage are each node's own: bookings of its tickets up to here are in them.
CREATE TABLE usage_node (
	node bigint PRIMARY KEY,
	booking bigint NOT NULL
);
INSERT INTO usage_node (node, booking) SELECT DISTINCT node, (SELECT booking FROM usage_mark) FROM boot;
DROP TABLE usage_mark;

-- How each transaction that writes begins. Each statement here sees what was committed before it, so what the node's row says is read when nobody else writes.
CREATE FUNCTION lethe_pen(n bigint, f bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE t bigint;
BEGIN
	UPDATE pen SET turn = turn + 1 WHERE one = 1 RETURNING turn INTO t;
	UPDATE node SET seen_us = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint WHERE id = n AND fence = f AND state = 1;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'INV-17: node % writes no more with fence %', n, f USING ERRCODE = 'LF001';
	END IF;
	RETURN t;
END $$;

CREATE FUNCTION lethe_join(n bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE f bigint; now_us bigint;
BEGIN
	UPDATE pen SET turn = turn + 1, fence = fence + 1 WHERE one = 1 RETURNING fence INTO f;
	now_us := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
	INSERT INTO node (id, fence, state, joined_us, seen_us) VALUES (n, f, 1, now_us, now_us)
	ON CONFLICT (id) DO UPDATE SET fence = f, state = 1, joined_us = now_us, seen_us = now_us;
	INSERT INTO usage_node (node, booking) VALUES (n, (SELECT coalesce(max(id), 0) FROM booking)) ON CONFLICT (node) DO NOTHING;
	RETURN f;
END $$;

CREATE FUNCTION lethe_fence_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.fence < OLD.fence OR (TG_TABLE_NAME = 'node' AND NEW.fence > (SELECT fence FROM pen)) THEN
		RAISE EXCEPTION 'INV-17: fences only grow';
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER node_fence BEFORE UPDATE OF fence ON node FOR EACH ROW EXECUTE FUNCTION lethe_fence_grows();
CREATE TRIGGER pen_fence BEFORE UPDATE OF fence ON pen FOR EACH ROW EXECUTE FUNCTION lethe_fence_grows();
CREATE TRIGGER node_stays BEFORE DELETE ON node FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-17: a node is never deleted');
CREATE TRIGGER pen_stays BEFORE DELETE ON pen FOR EACH ROW EXECUTE FUNCTION lethe_refuse('INV-17: the pen is never deleted');
