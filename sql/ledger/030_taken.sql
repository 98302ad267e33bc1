-- What is taken by hand counts as spent from here on, off free credit first; what was taken before is taken off nothing.

UPDATE account SET granted_nano = granted_nano - (SELECT coalesce(sum(amount_nano), 0) FROM posting JOIN booking ON booking.id = posting.booking
	WHERE posting.account = account.id AND posting.account > 99 AND amount_nano < 0 AND booking.what = 0 AND booking.kind = 3)
WHERE account.kind = 0;
