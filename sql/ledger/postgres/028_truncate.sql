-- TRUNCATE asks no row's trigger: whatever row is never deleted is not emptied away with its table either.

CREATE TRIGGER change_whole BEFORE TRUNCATE ON change EXECUTE FUNCTION lethe_refuse('a change is never deleted');
CREATE TRIGGER receipt_key_whole BEFORE TRUNCATE ON receipt_key EXECUTE FUNCTION lethe_refuse('INV-14: receipt keys are never deleted');
CREATE TRIGGER reconciliation_whole BEFORE TRUNCATE ON reconciliation EXECUTE FUNCTION lethe_refuse('INV-16: reconciliations are never deleted');
CREATE TRIGGER proposal_whole BEFORE TRUNCATE ON proposal EXECUTE FUNCTION lethe_refuse('INV-16: proposals are never deleted');
CREATE TRIGGER work_whole BEFORE TRUNCATE ON work EXECUTE FUNCTION lethe_refuse('INV-11: work is never deleted');
CREATE TRIGGER work_usage_whole BEFORE TRUNCATE ON work_usage EXECUTE FUNCTION lethe_refuse('INV-11: what work used is never deleted');
CREATE TRIGGER node_whole BEFORE TRUNCATE ON node EXECUTE FUNCTION lethe_refuse('INV-17: nodes are never deleted');
CREATE TRIGGER pen_whole BEFORE TRUNCATE ON pen EXECUTE FUNCTION lethe_refuse('INV-17: the pen is never deleted');
