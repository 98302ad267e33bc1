-- Named statements of the ledger; SQL_name in C. What touches the columns of TICKET_FIELDS is made in src/ledger/ticket_sql.c.

-- name: begin
BEGIN IMMEDIATE
-- postgres:
BEGIN

-- name: commit
COMMIT

-- name: rollback
ROLLBACK

-- name: account_insert
INSERT INTO account (id, kind, created_us, name) VALUES (?1, 0, ?2, ?3)

-- name: account_by_id
SELECT id, kind, balance_nano, state, created_us, name, owed_nano FROM account WHERE id = ?1

-- name: account_by_name
SELECT id, kind, balance_nano, state, created_us, name, owed_nano FROM account WHERE name = ?1

-- name: account_list
SELECT id, kind, balance_nano, state, created_us, name, owed_nano FROM account WHERE id > ?1 AND kind = 0 ORDER BY id LIMIT ?2

-- name: account_balance
SELECT balance_nano FROM account WHERE id = ?1 AND kind = 0

-- name: accounts_to_load
SELECT id, balance_nano FROM account WHERE kind = 0 AND balance_nano > 0 ORDER BY id DESC LIMIT ?1

-- name: account_pay
UPDATE account SET balance_nano = balance_nano - ?2 WHERE id = ?1 AND kind = 0 AND balance_nano >= ?2
-- postgres:
UPDATE account SET balance_nano = balance_nano - ?2 WHERE id = ?1 AND kind = 0 AND balance_nano - lent_nano >= ?2

-- name: account_credit
UPDATE account SET balance_nano = balance_nano + ?2 WHERE id = ?1 AND kind = 0 AND balance_nano <= 4000000000000000000 - ?2

-- name: house_balances
SELECT id, balance_nano FROM account WHERE id BETWEEN 1 AND ?1

-- Of tickets, and of what was used but not charged: nobody can refuse it. It has no bound but the integer's; what is used in a century is far from that.
-- name: house_add
UPDATE account SET balance_nano = balance_nano + ?2 WHERE id = ?1 AND kind <> 0

-- name: house_order
UPDATE account SET balance_nano = balance_nano + ?2 WHERE id = ?1 AND kind <> 0 AND (?2 < 0 OR balance_nano <= 4000000000000000000 - ?2) AND (?2 > 0 OR balance_nano >= -4000000000000000000 - ?2)

-- name: key_insert
INSERT INTO key (id, account, created_us, expires_ms, hash, last4, name) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)

-- name: key_by_id
SELECT id, account, created_us, expires_ms, revoked_us, last4, name, hash, replaced_by, quarantined_us, scopes FROM key WHERE id = ?1

-- name: key_by_hash
SELECT id, account, created_us, expires_ms, revoked_us, last4, name, hash, replaced_by, quarantined_us, scopes FROM key WHERE hash = ?1

-- name: key_list
SELECT id, account, created_us, expires_ms, revoked_us, last4, name, hash, replaced_by, quarantined_us, scopes FROM key WHERE id > ?1 AND (?2 = 0 OR account = ?2) ORDER BY id LIMIT ?3

-- name: key_count
SELECT count(*) FROM key WHERE account = ?1 AND revoked_us = 0

-- name: key_last_day
SELECT max(day) FROM usage_day WHERE key = ?1

-- name: keys_of_account
SELECT hash, id FROM key WHERE account = ?1

-- name: keys_all
SELECT id, account, expires_ms, revoked_us, hash, quarantined_us, scopes FROM key

-- name: key_expire
UPDATE key SET expires_ms = ?2, replaced_by = ?3 WHERE id = ?1 AND revoked_us = 0 AND (expires_ms = 0 OR expires_ms >= ?2)

-- name: key_revoke
UPDATE key SET revoked_us = ?2 WHERE id = ?1 AND revoked_us = 0

-- name: key_quarantine
UPDATE key SET quarantined_us = ?2 WHERE id = ?1

-- name: booking_insert
INSERT INTO booking (id, kind, time_us, tickets, first_ticket, last_ticket, tickets_nano) VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6)

-- name: booking_insert_order
INSERT INTO booking (id, kind, time_us, intent, what, item, reason, actor) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)

-- name: booking_by_intent
SELECT id FROM booking WHERE intent = ?1

-- name: booking_last
SELECT coalesce(max(id), 0) FROM booking

-- name: posting_insert
INSERT INTO posting (booking, account, amount_nano) VALUES (?1, ?2, ?3)

-- name: intent_insert
INSERT INTO intent (id, account, amount_nano, what, item, second_nano, third_nano, content, ref, reason, actor) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)

-- name: intent_by_id
SELECT account, amount_nano, what, item, second_nano, third_nano, content, ref, reason, actor FROM intent WHERE id = ?1

-- name: intent_by_ref
SELECT id, content FROM intent WHERE ref = ?1

-- name: intent_delete
DELETE FROM intent WHERE id = ?1

-- name: intents_drop
DELETE FROM intent WHERE ?1 < 0 OR (id >> 7 & 255) = ?1

-- name: items_drop
DELETE FROM item WHERE state = 0 AND (?1 < 0 OR (id >> 7 & 255) = ?1)

-- name: account_owe
UPDATE account SET owed_nano = owed_nano + ?2 WHERE id = ?1 AND owed_nano BETWEEN -?2 AND 4000000000000000000 - ?2

-- name: account_owed
SELECT owed_nano FROM account WHERE id = ?1

-- name: item_insert
INSERT INTO item (id, kind, state, account, peer, amount_nano, open_nano, created_us, expires_ms, hash, note, window_1, window_2, window_3)
VALUES (?1, ?2, 0, nullif(?3, 0), ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)

-- name: item_open
UPDATE item SET state = 1 WHERE id = ?1 AND state = 0

-- name: item_drop
DELETE FROM item WHERE id = (SELECT item FROM intent WHERE id = ?1) AND state = 0

-- name: item_reduce
UPDATE item SET open_nano = open_nano - ?2 WHERE id = ?1 AND state = 1 AND open_nano >= ?2

-- name: item_resolve
UPDATE item SET state = ?2, open_nano = 0, used_nano = ?3, account = coalesce(account, nullif(?4, 0)) WHERE id = ?1 AND state = 1 AND (?5 = 0 OR open_nano = ?5)

-- name: item_by_id
SELECT id, kind, state, coalesce(account, 0), peer, amount_nano, open_nano, used_nano, created_us, expires_ms, note FROM item WHERE id = ?1

-- name: item_by_hash
SELECT id, kind, state, coalesce(account, 0), peer, amount_nano, open_nano, used_nano, created_us, expires_ms, note FROM item WHERE hash = ?1

-- name: item_windows
SELECT window_1, window_2, window_3 FROM item WHERE id = ?1

-- name: item_windows_move
UPDATE item SET window_1 = CASE WHEN window_1 = ?1 THEN ?2 ELSE window_1 END, window_2 = CASE WHEN window_2 = ?1 THEN ?2 ELSE window_2 END,
	window_3 = CASE WHEN window_3 = ?1 THEN ?2 ELSE window_3 END
WHERE account = ?3 AND kind = 4 AND state = 1 AND (window_1 = ?1 OR window_2 = ?1 OR window_3 = ?1)
	AND NOT EXISTS (SELECT 1 FROM intent WHERE intent.item = item.id)

-- name: item_of_booking
SELECT item FROM booking WHERE id = ?1

-- name: items_list
SELECT id, kind, state, coalesce(account, 0), peer, amount_nano, open_nano, used_nano, created_us, expires_ms, note FROM item
WHERE kind = ?1 AND state <> 0 AND id > ?2 AND (?3 = 0 OR account = ?3) AND (?4 = 0 OR state = 1) ORDER BY id LIMIT ?5

-- name: items_due
SELECT id, expires_ms FROM item WHERE state = 1 AND expires_ms <> 0 AND expires_ms <= ?1 AND (expires_ms > ?3 OR (expires_ms = ?3 AND id > ?4)) ORDER BY expires_ms, id LIMIT ?2

-- name: items_in_transit
SELECT id FROM item WHERE state = 1 AND kind = 6 LIMIT ?1

-- name: item_said
SELECT reason, actor FROM booking WHERE item = ?1 AND item <> 0 ORDER BY actor = 'ledger', id DESC LIMIT 1

-- name: grants_open
SELECT id, open_nano FROM item WHERE account = ?1 AND kind = 2 AND state = 1 AND open_nano > 0 ORDER BY expires_ms, id

-- name: grants_before
SELECT coalesce(sum(open_nano), 0) FROM item WHERE account = ?1 AND kind = 2 AND state = 1 AND (expires_ms < ?2 OR (expires_ms = ?2 AND id < ?3))

-- name: grants_held
SELECT open_nano, (SELECT coalesce(sum(hold.open_nano), 0) FROM item AS hold WHERE hold.account = ?1 AND hold.kind = 4 AND hold.state = 1 AND hold.id > item.id
	AND hold.created_us < item.expires_ms * 1000) FROM item WHERE account = ?1 AND kind = 2 AND state = 1 AND open_nano > 0 ORDER BY id DESC

-- name: grant_around
SELECT (SELECT coalesce(sum(open_nano), 0) FROM item WHERE account = ?1 AND kind = 4 AND state = 1 AND id > ?3 AND created_us < ?2 * 1000), balance_nano FROM account WHERE id = ?1

-- name: account_spent
SELECT (SELECT coalesce(sum(amount_nano), 0) FROM posting WHERE account = ?1 AND account > 99) - balance_nano
	+ (SELECT coalesce(sum(used_nano), 0) FROM item WHERE account = ?1 AND kind = 4), granted_nano FROM account WHERE id = ?1

-- name: account_granted
UPDATE account SET granted_nano = ?2 WHERE id = ?1

-- name: statement
SELECT booking.id, time_us, what, booking.item, coalesce(own.amount_nano, 0), reason, actor, coalesce(-owed.amount_nano, 0) FROM (
	SELECT booking AS id FROM posting WHERE account = ?1 AND account > 99
	UNION SELECT about.id FROM item JOIN booking AS about ON about.item = item.id AND about.item <> 0 WHERE item.account = ?1 AND about.what NOT IN (6, 18)) AS concerns
JOIN booking ON booking.id = concerns.id LEFT JOIN posting AS own ON own.booking = booking.id AND own.account = ?1
LEFT JOIN posting AS owed ON owed.booking = booking.id AND owed.account = 13
WHERE booking.time_us >= ?2 AND booking.time_us < ?3 ORDER BY booking.id

-- name: statement_usage
SELECT day, sum(requests), sum(cost_nano) FROM usage_day WHERE account = ?1 AND day >= ?2 AND day < ?3 GROUP BY day ORDER BY day

-- name: operation_insert
INSERT INTO operation (ref, content, subject, time_us) VALUES (?1, ?2, ?3, ?4)

-- name: operation_by_ref
SELECT subject, content FROM operation WHERE ref = ?1

-- name: change_insert
INSERT INTO change (number, time_us, what, subject) VALUES ((SELECT 1 + coalesce(max(number), 0) FROM change), ?1, ?2, ?3)

-- name: ids_last
SELECT coalesce(max(id), 0) FROM (SELECT max(id) AS id FROM account UNION ALL SELECT max(id) FROM key UNION ALL SELECT max(id) FROM intent UNION ALL SELECT max(id) FROM item
	UNION ALL SELECT max(id) FROM proposal UNION ALL SELECT max(intent) FROM booking WHERE intent IS NOT NULL) AS ids
-- postgres:
SELECT coalesce(max(id), 0) FROM (SELECT max(id) AS id FROM account UNION ALL SELECT max(id) FROM key UNION ALL SELECT max(id) FROM intent UNION ALL SELECT max(id) FROM item
	UNION ALL SELECT max(id) FROM proposal UNION ALL SELECT max(intent) FROM booking WHERE intent IS NOT NULL UNION ALL SELECT max(moved) FROM node) AS ids

-- name: proposal_insert
INSERT INTO proposal (id, account, amount_nano, day, created_us, provider, model, ref, reason, actor) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)

-- name: proposal_by_id
SELECT id, account, amount_nano, day, created_us, provider, model, reason, actor FROM proposal WHERE id = ?1

-- name: proposals_list
SELECT id, account, amount_nano, day, created_us, provider, model, reason, actor FROM proposal
WHERE id > ?1 AND (?2 = 0 OR account = ?2) AND (?3 = 0 OR NOT EXISTS (SELECT 1 FROM operation WHERE operation.ref = proposal.ref)) ORDER BY id LIMIT ?4

-- name: reconciliation_insert
INSERT INTO reconciliation (id, time_us, bookings, tickets, charged_nano, balances_nano, broken) VALUES ((SELECT coalesce(max(id), 0) + 1 FROM reconciliation), ?1, ?2, ?3, ?4, ?5, ?6)

-- name: reconciliations
SELECT id, time_us, bookings, tickets, charged_nano, balances_nano, broken FROM reconciliation ORDER BY id DESC LIMIT ?1

-- name: boot_ceiling
SELECT coalesce(max(ceiling_ms), 0) FROM boot WHERE ?1 < 0 OR node = ?1

-- name: boot_insert
INSERT INTO boot (number, node, started_us, floor_ms, ceiling_ms) VALUES ((SELECT 1 + coalesce(max(number), 0) FROM boot), ?1, ?2, ?3, ?4)

-- name: boot_raise
UPDATE boot SET ceiling_ms = CASE WHEN ceiling_ms < ?1 THEN ?1 ELSE ceiling_ms END WHERE number = (SELECT max(number) FROM boot WHERE ?2 < 0 OR node = ?2)

-- name: price_insert
INSERT INTO price (id, model, from_ms, added_us, request_nano, tier, above_tokens, geo_us_x100,
	tool_web_search_nano, tool_file_search_nano, tool_code_session_nano, tool_audio_second_nano, tool_image_nano,
	pico_input, pico_cached, pico_cache_write, pico_cache_write_1h, pico_audio_in, pico_image_in, pico_video_in, pico_cached_audio, pico_cached_image, pico_output, pico_reasoning, pico_audio_out, pico_image_out)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26) ON CONFLICT (id) DO NOTHING

-- name: price_all
SELECT price.id, model, from_ms, added_us, request_nano, tier, above_tokens, geo_us_x100,
	tool_web_search_nano, tool_file_search_nano, tool_code_session_nano, tool_audio_second_nano, tool_image_nano,
	pico_input, pico_cached, pico_cache_write, pico_cache_write_1h, pico_audio_in, pico_image_in, pico_video_in, pico_cached_audio, pico_cached_image, pico_output, pico_reasoning, pico_audio_out, pico_image_out,
	model.name
FROM price LEFT JOIN model ON model.id = price.model ORDER BY model.name, from_ms DESC, tier, above_tokens, price.id

-- name: model_put
INSERT INTO model (id, name) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET name = excluded.name WHERE model.name <> excluded.name

-- name: model_by_id
SELECT name FROM model WHERE id = ?1

-- name: model_by_name
SELECT id FROM model WHERE name = ?1

-- name: provider_put
INSERT INTO provider (id, name) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET name = excluded.name WHERE provider.name <> excluded.name

-- name: provider_by_id
SELECT name FROM provider WHERE id = ?1

-- name: provider_by_name
SELECT id FROM provider WHERE name = ?1

-- name: account_name
SELECT name FROM account WHERE id = ?1

-- name: key_name
SELECT name FROM key WHERE id = ?1

-- name: progress_delete
DELETE FROM progress WHERE id = ?1

-- name: progress_places
SELECT board_index, id FROM progress WHERE ?1 < 0 OR (id >> 7 & 255) = ?1

-- name: usage_add
INSERT INTO usage_day (day, account, key, model, requests, failed, cost_nano,
	tokens_input, tokens_cached, tokens_cache_write, tokens_cache_write_1h, tokens_audio_in, tokens_image_in,
	tokens_video_in, tokens_cached_audio, tokens_cached_image,
	tokens_output, tokens_reasoning, tokens_audio_out, tokens_image_out, tool_calls)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)
ON CONFLICT (day, account, key, model) DO UPDATE SET
	requests = usage_day.requests + excluded.requests, failed = usage_day.failed + excluded.failed, cost_nano = usage_day.cost_nano + excluded.cost_nano,
	tokens_input = usage_day.tokens_input + excluded.tokens_input, tokens_cached = usage_day.tokens_cached + excluded.tokens_cached,
	tokens_cache_write = usage_day.tokens_cache_write + excluded.tokens_cache_write,
	tokens_cache_write_1h = usage_day.tokens_cache_write_1h + excluded.tokens_cache_write_1h,
	tokens_audio_in = usage_day.tokens_audio_in + excluded.tokens_audio_in, tokens_image_in = usage_day.tokens_image_in + excluded.tokens_image_in,
	tokens_video_in = usage_day.tokens_video_in + excluded.tokens_video_in, tokens_cached_audio = usage_day.tokens_cached_audio + excluded.tokens_cached_audio,
	tokens_cached_image = usage_day.tokens_cached_image + excluded.tokens_cached_image,
	tokens_output = usage_day.tokens_output + excluded.tokens_output, tokens_reasoning = usage_day.tokens_reasoning + excluded.tokens_reasoning,
	tokens_audio_out = usage_day.tokens_audio_out + excluded.tokens_audio_out, tokens_image_out = usage_day.tokens_image_out + excluded.tokens_image_out,
	tool_calls = usage_day.tool_calls + excluded.tool_calls
-- postgres:
INSERT INTO usage_day (day, account, key, model, requests, failed, cost_nano,
	tokens_input, tokens_cached, tokens_cache_write, tokens_cache_write_1h, tokens_audio_in, tokens_image_in,
	tokens_video_in, tokens_cached_audio, tokens_cached_image,
	tokens_output, tokens_reasoning, tokens_audio_out, tokens_image_out, tool_calls)
SELECT day, account, key, model, requests, failed, cost_nano, tokens_input,
	tokens_cached, tokens_cache_write, tokens_cache_write_1h, tokens_audio_in, tokens_image_in, tokens_video_in, tokens_cached_audio, tokens_cached_image,
	tokens_output, tokens_reasoning, tokens_audio_out, tokens_image_out, tool_calls
FROM unnest(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)
	WITH ORDINALITY AS x(day, account, key, model, requests, failed, cost_nano, tokens_input,
	tokens_cached, tokens_cache_write, tokens_cache_write_1h, tokens_audio_in, tokens_image_in, tokens_video_in, tokens_cached_audio, tokens_cached_image,
	tokens_output, tokens_reasoning, tokens_audio_out, tokens_image_out, tool_calls, number)
ON CONFLICT (day, account, key, model) DO UPDATE SET
	requests = usage_day.requests + excluded.requests, failed = usage_day.failed + excluded.failed, cost_nano = usage_day.cost_nano + excluded.cost_nano,
	tokens_input = usage_day.tokens_input + excluded.tokens_input, tokens_cached = usage_day.tokens_cached + excluded.tokens_cached,
	tokens_cache_write = usage_day.tokens_cache_write + excluded.tokens_cache_write,
	tokens_cache_write_1h = usage_day.tokens_cache_write_1h + excluded.tokens_cache_write_1h,
	tokens_audio_in = usage_day.tokens_audio_in + excluded.tokens_audio_in, tokens_image_in = usage_day.tokens_image_in + excluded.tokens_image_in,
	tokens_video_in = usage_day.tokens_video_in + excluded.tokens_video_in, tokens_cached_audio = usage_day.tokens_cached_audio + excluded.tokens_cached_audio,
	tokens_cached_image = usage_day.tokens_cached_image + excluded.tokens_cached_image,
	tokens_output = usage_day.tokens_output + excluded.tokens_output, tokens_reasoning = usage_day.tokens_reasoning + excluded.tokens_reasoning,
	tokens_audio_out = usage_day.tokens_audio_out + excluded.tokens_audio_out, tokens_image_out = usage_day.tokens_image_out + excluded.tokens_image_out,
	tool_calls = usage_day.tool_calls + excluded.tool_calls

-- name: usage_mark
SELECT booking FROM usage_mark WHERE ?1 < 0
-- postgres:
SELECT booking FROM usage_node WHERE node = ?1

-- name: usage_mark_move
UPDATE usage_mark SET booking = ?2 WHERE booking = ?1 AND ?3 < 0
-- postgres:
UPDATE usage_node SET booking = ?2 WHERE booking = ?1 AND node = ?3

-- name: usage_first_ticket
SELECT min(first_ticket) FROM booking WHERE kind = 1 AND id > ?1

-- name: posting_of
SELECT amount_nano FROM posting WHERE booking = ?1 AND account = ?2

-- name: account_charge
UPDATE account SET balance_nano = balance_nano - ?2, chain_place = ?3, chain_leaf = ?4 WHERE id = ?1 AND kind = 0 AND balance_nano >= ?2
-- postgres:
UPDATE account SET balance_nano = balance_nano - x.nano, chain_place = x.place, chain_leaf = x.leaf
FROM unnest(?1, ?2, ?3, ?4) WITH ORDINALITY AS x(id, nano, place, leaf, number)
WHERE account.id = x.id AND kind = 0 AND balance_nano >= x.nano RETURNING x.number

-- name: account_chain
SELECT id, chain_place, chain_leaf, (SELECT max(first) FROM receipt_batch WHERE first <= chain_leaf), NULL FROM account WHERE id = ?1
-- postgres:
SELECT id, chain_place, chain_leaf, first, substring(leaves FROM (chain_leaf - first)::int * 32 + 1 FOR 32) FROM account
LEFT JOIN LATERAL (SELECT first, leaves FROM receipt_batch WHERE first <= chain_leaf ORDER BY first DESC LIMIT 1) AS b ON chain_place > 0 WHERE id = ANY (?1)

-- name: receipt_key_last
SELECT id, public FROM receipt_key ORDER BY id DESC LIMIT 1

-- name: receipt_key_by_id
SELECT public, from_us, from_leaf FROM receipt_key WHERE id = ?1

-- name: receipt_key_insert
INSERT INTO receipt_key (id, from_us, from_leaf, public) VALUES ((SELECT 1 + coalesce(max(id), 0) FROM receipt_key), ?1, ?2, ?3) RETURNING id

-- name: receipt_keys
SELECT id, public, from_us, from_leaf FROM receipt_key ORDER BY id

-- name: receipt_batch_insert
INSERT INTO receipt_batch (first, count, booking, time_us, shape, key, root, signature, leaves) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)

-- name: receipt_batch_of
SELECT first, count, time_us, shape, key, root, signature, leaves FROM receipt_batch WHERE first <= ?1 ORDER BY first DESC LIMIT 1

-- name: receipt_batches_from
SELECT first, count, root, leaves FROM receipt_batch WHERE first >= ?1 ORDER BY first LIMIT ?2

-- name: receipt_node_insert
INSERT INTO receipt_node (level, number, hash) VALUES (?1, ?2, ?3)

-- name: receipt_node_get
SELECT hash FROM receipt_node WHERE level = ?1 AND number = ?2

-- name: limits_of
SELECT kind, amount, number FROM limits WHERE subject = ?1

-- name: limits_insert
INSERT INTO limits (subject, kind, amount, number) VALUES (?1, ?2, ?3, ?4)

-- name: limits_delete
DELETE FROM limits WHERE subject = ?1 AND kind = ?2

-- Whoever shares it: keys that took each other's place.
-- name: limits_renumber
UPDATE limits SET amount = ?2, number = ?3 WHERE number = ?1 AND number <> 0

-- name: limits_remove
DELETE FROM limits WHERE number = ?1 AND number <> 0

-- name: limits_copy
INSERT INTO limits (subject, kind, amount, number) SELECT ?2, kind, amount, number FROM limits WHERE subject = ?1

-- name: limits_any
SELECT (SELECT count(*) FROM limits WHERE subject = ?1) + (SELECT count(*) FROM allowed WHERE subject = ?1) + (SELECT count(*) FROM policy WHERE subject = ?1) + (SELECT count(*) FROM lane WHERE subject = ?1)

-- name: limits_subjects
SELECT subject, coalesce((SELECT account FROM key WHERE id = subject), subject) FROM (SELECT subject FROM limits UNION SELECT subject FROM allowed UNION SELECT account FROM byok WHERE removed_us = 0 UNION SELECT subject FROM policy UNION SELECT subject FROM lane) AS limited
ORDER BY (SELECT account FROM key WHERE id = subject) IS NOT NULL, subject

-- name: limits_last
SELECT coalesce(max(number), 0) FROM (SELECT max(number) AS number FROM limits UNION ALL SELECT max(id) >> 32 & 2147483647 FROM budget) AS numbers

-- Sums per day are each node's own, and up to a minute young: what its bookings after its mark cost is still in tickets alone. ?3: no ticket of that time has a smaller id.
-- name: limits_spent
SELECT coalesce(sum(cost_nano), 0), coalesce(sum(requests), 0) FROM (SELECT cost_nano, requests FROM usage_day WHERE day >= ?2 AND (key = ?1 OR account = ?1)
	UNION ALL SELECT cost_nano, 0 FROM work_usage WHERE started_us >= ?2 * 86400000000 AND (key = ?1 OR account = ?1)) AS spent
-- postgres:
WITH behind AS (SELECT usage_node.node, booking FROM usage_node JOIN node ON node.id = usage_node.node WHERE state = 1 AND node.id <> 255),
	oldest AS (SELECT min(first_ticket) AS id FROM booking WHERE kind = 1 AND id > (SELECT min(booking) FROM behind))
SELECT coalesce(sum(cost_nano), 0), coalesce(sum(requests), 0) FROM (SELECT cost_nano, requests FROM usage_day WHERE day >= ?2 AND (key = ?1 OR account = ?1)
	UNION ALL SELECT cost_nano, 0 FROM work_usage WHERE started_us >= ?2 * 86400000000 AND (key = ?1 OR account = ?1)
	UNION ALL SELECT cost_nano, 0 FROM ticket JOIN behind ON behind.node = (ticket.id >> 7 & 255) AND ticket.booking > behind.booking
		WHERE ticket.id >= ?3 AND ticket.id >= (SELECT id FROM oldest) AND started_us >= ?2 * 86400000000 AND (key = ?1 OR account = ?1)) AS spent

-- The one that took nobody's place: ids of several servers are not in the order of time.
-- name: key_root
SELECT coalesce((SELECT kin FROM key WHERE id = ?1 AND kin <> 0), ?1)

-- Those that still work.
-- name: key_kin
SELECT id FROM key WHERE (id = ?1 OR (kin = ?1 AND kin <> 0)) AND id > ?2 AND revoked_us = 0 AND (expires_ms = 0 OR expires_ms > ?3) ORDER BY id

-- name: key_kin_all
SELECT id FROM key WHERE id = ?1 OR (kin = ?1 AND kin <> 0)

-- name: limits_requests
SELECT coalesce(sum(requests), 0) FROM usage_day WHERE day >= ?2 AND (account = ?1 OR key = ?1 OR key IN (SELECT id FROM key WHERE kin = ?1 AND kin <> 0))

-- name: limits_money_around
SELECT CASE WHEN ?1 = ?2 THEN coalesce((SELECT max(n) FROM (SELECT count(*) AS n FROM limits JOIN key ON key.id = subject WHERE account = ?2 AND kind >= ?3 AND revoked_us = 0 GROUP BY subject) AS counts), 0)
	ELSE (SELECT count(*) FROM limits WHERE subject = ?2 AND kind >= ?3) END

-- name: limit_by_number
SELECT kind FROM limits WHERE number = ?1 AND number <> 0

-- name: allowed_of
SELECT what, pattern FROM allowed WHERE subject = ?1 ORDER BY what, pattern

-- name: allowed_insert
INSERT INTO allowed (subject, what, pattern) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING

-- name: allowed_delete
DELETE FROM allowed WHERE subject = ?1 AND what = ?2

-- name: allowed_copy
INSERT INTO allowed (subject, what, pattern) SELECT ?2, what, pattern FROM allowed WHERE subject = ?1

-- name: key_scopes
UPDATE key SET scopes = ?2 WHERE id = ?1

-- name: key_scopes_copy
UPDATE key SET scopes = (SELECT scopes FROM key WHERE id = ?1) WHERE id = ?2

-- name: key_kin_copy
UPDATE key SET kin = (SELECT CASE kin WHEN 0 THEN id ELSE kin END FROM key WHERE id = ?1) WHERE id = ?2

-- name: budget_balance
SELECT limit_nano - used_nano FROM budget WHERE id = ?1
-- postgres:
SELECT limit_nano - used_nano - lent_nano FROM budget WHERE id = ?1

-- A window that begins, by what its limit is now.
-- name: budget_begin
INSERT INTO budget (id, limit_nano, used_nano) SELECT ?1, max(amount), 0 FROM limits WHERE number = ?2 AND number <> 0 HAVING count(*) > 0 ON CONFLICT (id) DO NOTHING

-- name: budget_insert
INSERT INTO budget (id, limit_nano, used_nano) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING

-- name: budget_used
SELECT used_nano FROM budget WHERE id = ?1

-- name: budget_pay
UPDATE budget SET used_nano = used_nano + ?2 WHERE id = ?1
-- postgres:
UPDATE budget SET used_nano = used_nano + x.nano FROM unnest(?1, ?2) WITH ORDINALITY AS x(id, nano, number) WHERE budget.id = x.id RETURNING x.number

-- name: budgets_before
SELECT id FROM budget WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 16

-- name: budget_set_aside
UPDATE budget SET used_nano = used_nano + ?2 WHERE id = ?1 AND limit_nano - used_nano >= ?2
-- postgres:
UPDATE budget SET used_nano = used_nano + ?2 WHERE id = ?1 AND limit_nano - used_nano - lent_nano >= ?2

-- name: budget_come_back
UPDATE budget SET used_nano = used_nano - ?2 WHERE id = ?1 AND used_nano >= ?2

-- name: budget_delete
DELETE FROM budget WHERE id = ?1
-- postgres:
WITH gone AS (DELETE FROM budget WHERE id = ?1 AND lent_nano = 0 RETURNING id), shares AS (DELETE FROM budget_share USING gone WHERE budget = gone.id)
DELETE FROM want USING gone WHERE account = gone.id

-- name: trigger_there
SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name = ?1 AND sql LIKE '%raise(ABORT%'
-- postgres:
SELECT count(*) FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
WHERE tgname = ?1 AND NOT tgisinternal AND tgenabled IN ('O', 'A') AND tgparentid = 0 AND pg_class.relnamespace = current_schema()::regnamespace

-- name: tables_unguarded
SELECT '' WHERE 0
-- postgres:
SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace
	AND EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = pg_class.oid AND tgtype & 8 <> 0 AND tgfoid = 'lethe_refuse'::regproc)
	AND NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = pg_class.oid AND tgtype & 32 <> 0 AND tgfoid = 'lethe_refuse'::regproc AND tgenabled IN ('O', 'A'))

-- name: policy_of
SELECT zero_retention, region FROM policy WHERE subject = ?1

-- name: policy_delete
DELETE FROM policy WHERE subject = ?1

-- name: policy_insert
INSERT INTO policy (subject, zero_retention, region) VALUES (?1, ?2, ?3)

-- name: policy_copy
INSERT INTO policy (subject, zero_retention, region) SELECT ?2, zero_retention, region FROM policy WHERE subject = ?1

-- name: lane_of
SELECT name FROM lane WHERE subject = ?1

-- name: lane_delete
DELETE FROM lane WHERE subject = ?1

-- name: lane_insert
INSERT INTO lane (subject, name) VALUES (?1, ?2)

-- name: lane_copy
INSERT INTO lane (subject, name) SELECT ?2, name FROM lane WHERE subject = ?1

-- name: byok_of
SELECT id, provider, fallback FROM byok WHERE account = ?1 AND removed_us = 0 ORDER BY id

-- name: byok_at
SELECT id FROM byok WHERE account = ?1 AND provider = ?2 AND removed_us = 0

-- name: byok_insert
INSERT INTO byok (id, account, provider, fallback, last4, master, box, created_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)

-- name: byok_remove
UPDATE byok SET removed_us = ?2, box = NULL WHERE id = ?1

-- name: byok_box
SELECT account, provider, box FROM byok WHERE id = ?1 AND removed_us = 0

-- name: byok_list
SELECT id, account, provider, fallback, last4, master, created_us FROM byok WHERE removed_us = 0 AND (?1 = 0 OR account = ?1) AND id > ?2 ORDER BY id LIMIT ?3

-- name: quota_put
INSERT INTO quota (account, kind, nano, due_us) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (account) DO UPDATE SET kind = excluded.kind, nano = excluded.nano, due_us = excluded.due_us

-- name: quota_delete
DELETE FROM quota WHERE account = ?1

-- name: quota_of
SELECT kind, nano FROM quota WHERE account = ?1

-- name: quotas_due
SELECT account, kind, nano, due_us FROM quota WHERE due_us <= ?1 ORDER BY due_us LIMIT ?2

-- name: quota_given
UPDATE quota SET due_us = ?3 WHERE account = ?1 AND due_us = ?2

-- name: work_insert
INSERT INTO work (id, account, state, nano, created_us, due_us, key) VALUES (?1, ?2, 0, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO NOTHING

-- name: work_by_id
SELECT id, account, state, nano, hold, object, looks, created_us, due_us FROM work WHERE id = ?1

-- name: work_due
SELECT id, account, state, nano, hold, object, looks, created_us, due_us FROM work WHERE state < 3 AND due_us <= ?1 ORDER BY due_us LIMIT 1

-- name: work_next
SELECT coalesce(min(due_us), 0) FROM work WHERE state < 3

-- name: work_held
UPDATE work SET state = 1, hold = ?2 WHERE id = ?1 AND state = 0

-- name: work_named
UPDATE work SET state = 2, due_us = ?2, object = ?3 WHERE id = ?1 AND state = 1

-- name: work_looked
UPDATE work SET due_us = ?2, looks = looks + 1 WHERE id = ?1 AND state < 3 AND due_us = ?3

-- name: work_hasten
UPDATE work SET due_us = ?2 WHERE id = ?1 AND state = 2 AND trouble = 0 AND due_us > ?2

-- name: work_trouble
UPDATE work SET trouble = ?2 WHERE id = ?1 AND state < 3 AND trouble <> ?2

-- name: work_by_hold
SELECT id, state, trouble FROM work WHERE hold = ?1

-- name: work_list
SELECT id, object FROM work WHERE account = ?1 AND state >= 2 AND (id < ?2 OR ?2 = 0) AND substr(object, 1, ?3) = ?4 AND id NOT IN (SELECT work FROM gone) ORDER BY id DESC LIMIT ?5
-- postgres:
SELECT id, object FROM work WHERE account = ?1 AND state >= 2 AND (id < ?2 OR ?2 = 0) AND substr(object, 1, CAST(?3 AS int)) = ?4 AND id NOT IN (SELECT work FROM gone) ORDER BY id DESC LIMIT ?5

-- name: work_gone
INSERT INTO gone (work) SELECT id FROM work WHERE account = ?1 AND object = ?2 AND state >= 2 AND (id < ?3 OR ?3 = 0) ON CONFLICT (work) DO NOTHING

-- name: object_insert
INSERT INTO object (account, name, id, kind, purpose) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING

-- name: object_drop
UPDATE object SET gone_us = ?4 WHERE account = ?1 AND name = ?2 AND (id < ?3 OR ?3 = 0) AND gone_us = 0

-- name: object_sweep
DELETE FROM object WHERE id IN (SELECT id FROM object WHERE gone_us > 0 AND gone_us < ?1 ORDER BY gone_us LIMIT 4)

-- name: object_find
SELECT id FROM object WHERE account = ?1 AND name = ?2

-- name: object_list
SELECT id, name FROM object WHERE account = ?1 AND kind = ?2 AND gone_us = 0 AND (purpose = ?3 OR ?3 = 0) AND (id < ?4 OR ?4 = 0) ORDER BY id DESC LIMIT ?5

-- name: object_list_up
SELECT id, name FROM object WHERE account = ?1 AND kind = ?2 AND gone_us = 0 AND (purpose = ?3 OR ?3 = 0) AND id > ?4 ORDER BY id LIMIT ?5

-- name: work_troubled
SELECT count(*) FROM work JOIN item ON item.id = work.hold WHERE work.state < 3 AND trouble = ?1 AND item.state = 1

-- name: work_ended
UPDATE work SET state = 3, trouble = 0, due_us = ?2 WHERE id = ?1 AND state < 3 AND state > 0

-- name: work_usage_insert
INSERT INTO work_usage (id, account, key, started_us, cost_nano, model, provider, endpoint, tier, lane, requests, tokens_input, tokens_cached, tokens_cache_write, tokens_cache_write_1h, tokens_audio_in, tokens_image_in, tokens_video_in, tokens_cached_audio, tokens_cached_image, tokens_output, tokens_reasoning, tokens_audio_out, tokens_image_out, tool_calls)
SELECT work.id, work.account, work.key, work.created_us, item.used_nano, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21 FROM work JOIN item ON item.id = work.hold WHERE work.id = ?1

-- name: work_drop
DELETE FROM work WHERE id = ?1 AND state = 0

-- name: boot_of_node
SELECT floor_ms FROM boot WHERE ?1 < 0 OR node = ?1 ORDER BY number DESC LIMIT 1

-- name: account_free
SELECT balance_nano FROM account WHERE id = ?1 AND kind = 0
-- postgres:
SELECT balance_nano - lent_nano FROM account WHERE id = ?1 AND kind = 0

-- What follows is PostgreSQL's alone: a file has one server.
-- name: share_of
SELECT 0, 0, 0 WHERE ?1 < ?2
-- postgres:
SELECT coalesce((SELECT nano FROM share WHERE account = ?1 AND node = ?2), 0), balance_nano - lent_nano, lent_nano FROM account WHERE id = ?1 AND kind = 0

-- `moved < ?4` is the second to say that no move goes twice: whose id may be old looks first (share_book()), for here one that is known would have failed, and not be known.
-- name: share_move
SELECT 0, 0 WHERE ?1 < ?2 AND ?3 < ?4 + ?5
-- postgres:
WITH n AS (SELECT id FROM node WHERE id = ?2 AND fence = ?5 AND state = 1 AND moved < ?4 FOR UPDATE),
	a AS (UPDATE account SET lent_nano = lent_nano + ?3 FROM n WHERE account.id = ?1 AND kind = 0 AND lent_nano + ?3 BETWEEN 0 AND balance_nano
		AND (?3 > 0 OR EXISTS (SELECT 1 FROM share WHERE account = ?1 AND node = ?2 AND nano + ?3 >= 0)) RETURNING account.id),
	more AS (INSERT INTO share (account, node, nano) SELECT id, ?2, ?3 FROM a WHERE ?3 > 0
		ON CONFLICT (account, node) DO UPDATE SET nano = share.nano + excluded.nano RETURNING account),
	less AS (UPDATE share SET nano = nano + ?3 FROM a WHERE ?3 <= 0 AND account = a.id AND node = ?2 RETURNING account),
	m AS (UPDATE node SET moved = ?4, seen_us = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint WHERE id = ?2 AND EXISTS (SELECT 1 FROM a) RETURNING id)
SELECT (SELECT count(*) FROM n), lethe_whole_move((SELECT count(*) FROM a), (SELECT count(*) FROM more) + (SELECT count(*) FROM less) + (SELECT count(*) FROM m))

-- name: budget_share_of
SELECT 0, 0, 0 WHERE ?1 < ?2
-- postgres:
SELECT coalesce((SELECT nano FROM budget_share WHERE budget = ?1 AND node = ?2), 0), limit_nano - used_nano - lent_nano, lent_nano FROM budget WHERE id = ?1

-- name: budget_excess
SELECT ?1 WHERE ?1 < 0 AND ?2 < 0
-- postgres:
SELECT budget FROM budget_share JOIN budget ON budget.id = budget WHERE node = ?1 AND budget > ?2 AND nano > 0 AND lent_nano > 0 AND used_nano + lent_nano > limit_nano ORDER BY budget LIMIT 64

-- As share_move. What a limit was lowered by may be lent still: it can be given back, and nothing is taken.
-- name: budget_share_move
SELECT 0, 0 WHERE ?1 < ?2 AND ?3 < ?4 + ?5
-- postgres:
WITH n AS (SELECT id FROM node WHERE id = ?2 AND fence = ?5 AND state = 1 AND moved < ?4 FOR UPDATE),
	a AS (UPDATE budget SET lent_nano = lent_nano + ?3 FROM n WHERE budget.id = ?1 AND lent_nano + ?3 >= 0 AND (?3 <= 0 OR lent_nano + ?3 <= limit_nano - used_nano)
		AND (?3 > 0 OR EXISTS (SELECT 1 FROM budget_share WHERE budget = ?1 AND node = ?2 AND nano + ?3 >= 0)) RETURNING budget.id),
	more AS (INSERT INTO budget_share (budget, node, nano) SELECT id, ?2, ?3 FROM a WHERE ?3 > 0
		ON CONFLICT (budget, node) DO UPDATE SET nano = budget_share.nano + excluded.nano RETURNING budget),
	less AS (UPDATE budget_share SET nano = nano + ?3 FROM a WHERE ?3 <= 0 AND budget = a.id AND node = ?2 RETURNING budget),
	m AS (UPDATE node SET moved = ?4, seen_us = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint WHERE id = ?2 AND EXISTS (SELECT 1 FROM a) RETURNING id)
SELECT (SELECT count(*) FROM n), lethe_whole_move((SELECT count(*) FROM a), (SELECT count(*) FROM more) + (SELECT count(*) FROM less) + (SELECT count(*) FROM m))

-- name: share_want
SELECT ?1, ?2
-- postgres:
WITH now AS (SELECT set_config('synchronous_commit', 'off', true), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS us)
INSERT INTO want (account, node, time_us) SELECT ?1, ?2, us FROM now ON CONFLICT (account, node) DO UPDATE SET time_us = excluded.time_us

-- name: share_wanted
SELECT ?1 WHERE ?1 < ?2 AND ?1 > ?3
-- postgres:
SELECT DISTINCT account FROM want WHERE node <> ?1 AND time_us > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - ?2 AND account > ?3 ORDER BY account LIMIT 64

-- name: share_changes
SELECT 0, 0, 0 WHERE ?1 < 0
-- postgres:
SELECT number, what, subject FROM change WHERE number > ?1 ORDER BY number LIMIT 256

-- name: share_moved
SELECT ?1
-- postgres:
SELECT moved FROM node WHERE id = ?1

-- name: node_others
SELECT ?1, ?2
-- postgres:
SELECT count(*) FROM node WHERE state = 1 AND id <> ?1 AND id <> 255 AND seen_us > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - ?2

-- name: node_drain
SELECT ?1
-- postgres:
SELECT drain FROM node WHERE id = ?1

-- Of a ticket that is settled without its board it is guessed in which windows it was: what this node has no share of counts as used all the same.
-- name: budget_share_pay
SELECT ?1, ?2, ?3
-- postgres:
WITH x AS (SELECT p.budget, p.nano, least(p.nano, coalesce(budget_share.nano, 0)) AS lent, p.node, p.number
		FROM unnest(?1, ?2, ?3) WITH ORDINALITY AS p(budget, nano, node, number) LEFT JOIN budget_share ON budget_share.budget = p.budget AND budget_share.node = p.node),
	own AS (UPDATE budget_share SET nano = budget_share.nano - x.lent FROM x WHERE budget_share.budget = x.budget AND budget_share.node = x.node)
UPDATE budget SET used_nano = used_nano + x.nano, lent_nano = lent_nano - x.lent FROM x WHERE budget.id = x.budget RETURNING x.number

-- name: share_charge
SELECT ?1, ?2, ?3, ?4, ?5
-- postgres:
WITH own AS (
	UPDATE share SET nano = share.nano - x.nano FROM unnest(?1, ?2, ?3, ?4, ?5) WITH ORDINALITY AS x(account, nano, place, leaf, node, number)
	WHERE share.account = x.account AND share.node = x.node AND share.nano >= x.nano RETURNING x.account, x.nano, x.place, x.leaf, x.number)
UPDATE account SET balance_nano = balance_nano - own.nano, lent_nano = lent_nano - own.nano, chain_place = own.place, chain_leaf = own.leaf
FROM own WHERE id = own.account AND kind = 0 RETURNING own.number
