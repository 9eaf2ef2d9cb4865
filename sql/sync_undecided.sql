-- Conflicts of sync_conflict that wait for a person, by the peer's record. They end with --resolve here, or
-- with a version of the record that comes from the peer and is taken. decision: the change in sync_queue
-- that --resolve made; the row stays until the peer has it, since its groups still list the record as owed
-- till then. rival_id: the key of the row here that has the record's unique value; NULL: both sides'
-- versions are of the record itself.
CREATE TABLE IF NOT EXISTS sync_undecided (
  peer VARCHAR(32) CHARACTER SET ascii NOT NULL,
  record_hash BINARY(16) NOT NULL,
  conflict BIGINT UNSIGNED NOT NULL,
  decision BIGINT UNSIGNED NULL,
  rival_id VARBINARY(3072) NULL,
  PRIMARY KEY (peer, record_hash)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
