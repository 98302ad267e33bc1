-- sql/ledger/030_taken.sql.

UPDATE account SET granted_nano = granted_nano - (SELECT coalesce(sum(amount_nano), 0) FROM posting JOIN booking ON booking.id = posting.booking
	WHERE posting.account = account.id AND posting.account > 99 AND amount_nano < 0 AND booking.what = 0 AND booking.kind = 3)
WHERE account.kind = 0;
