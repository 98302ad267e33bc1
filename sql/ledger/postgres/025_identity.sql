-- What an outbox is forwarded to is the store that it was kept for, and a node's number is one server's at a time: docs/decisions/0074-outbox.md.

ALTER TABLE pen ADD COLUMN identity bigint NOT NULL DEFAULT 0; -- made once, at random; a dump has it as well
UPDATE pen SET identity = ('x' || substr(md5(gen_random_uuid()::text), 1, 15))::bit(60)::bigint | 1;

ALTER TABLE node ADD COLUMN home bigint NOT NULL DEFAULT 0; -- whose data directory it is; 0: not known
ALTER TABLE node ADD COLUMN away_ms bigint NOT NULL DEFAULT 0; -- for how long that server goes on when it can't reach this store

-- The fence; 0: the number is another server's, which may be going on without the store and giving out ids of it.
CREATE FUNCTION lethe_join_as(n bigint, h bigint, a bigint, lease_us bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE now_us bigint; several bigint; x node; f bigint;
BEGIN
	SELECT many INTO several FROM pen WHERE one = 1 FOR UPDATE;
	SELECT * INTO x FROM node WHERE id = n;
	now_us := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
	IF FOUND AND several = 1 AND h <> 0 AND x.home NOT IN (0, h) THEN
		IF x.state = 1 OR (x.state = 3 AND x.seen_us + x.away_ms * 1000 + lease_us > now_us) THEN
			RETURN 0;
		END IF;
		-- Above all ids that it can have given out meanwhile (boot.c raises its ceiling no further than that), which are its boot's still.
		UPDATE boot SET ceiling_ms = ceiling_ms + x.away_ms + 60000 WHERE number = (SELECT max(number) FROM boot WHERE node = n);
		INSERT INTO boot (number, node, started_us, floor_ms, ceiling_ms)
		SELECT (SELECT max(number) FROM boot) + 1, n, now_us, max(ceiling_ms) + 1, max(ceiling_ms) + 1 FROM boot WHERE node = n HAVING count(*) > 0;
	END IF;
	f := lethe_join(n);
	IF h <> 0 THEN
		UPDATE node SET home = h, away_ms = a WHERE id = n;
	END IF;
	RETURN f;
END $$;
