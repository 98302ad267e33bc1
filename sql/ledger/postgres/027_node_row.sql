-- What is read of a node's row is what is changed of it, and a move is whole: docs/decisions/0070-nodes.md.

-- A move of a share changes the row without the pen: it may be on its way, and who makes it was heard of just now. So the row is taken before it is read.
-- 0: forgotten; 1: there is none; 2: it was heard of within its lease. Its last boot has ended: a board of it is known by an older one. Called with the pen in hand.
CREATE OR REPLACE FUNCTION lethe_forget(n bigint, lease_us bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE now_us bigint; x node;
BEGIN
	SELECT * INTO x FROM node WHERE id = n FOR UPDATE;
	IF NOT FOUND THEN
		RETURN 1;
	END IF;
	now_us := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
	IF x.state = 1 AND x.seen_us + lease_us >= now_us THEN
		RETURN 2;
	END IF;
	IF x.state = 3 THEN
		RETURN 0;
	END IF;
	UPDATE pen SET fence = fence + 1 WHERE one = 1;
	UPDATE node SET state = 3, fence = (SELECT fence FROM pen) WHERE id = n;
	INSERT INTO boot (number, node, started_us, floor_ms, ceiling_ms)
	SELECT (SELECT max(number) FROM boot) + 1, n, now_us, max(ceiling_ms) + 1, max(ceiling_ms) + 1 FROM boot WHERE node = n HAVING count(*) > 0;
	RETURN 0;
END $$;

-- A move changes the account's sum, the share and the node's row, or none of them. Asked by the statement itself: what it did goes back with it.
CREATE FUNCTION lethe_whole_move(lent bigint, others bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	IF others <> 2 * lent THEN
		RAISE EXCEPTION 'INV-18: half a move of a share' USING ERRCODE = 'LF003';
	END IF;
	RETURN lent;
END $$;
