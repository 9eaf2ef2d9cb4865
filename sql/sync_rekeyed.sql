-- Pending changes from before a table's primary key was made of other columns, told under the new key (agent/apply/rekey):
-- a row with record_id NULL holds in form the old key's columns and types, each other row a record that was pending
-- under the old key, record_id. new_id: its key today, NULL = there is no such row any more; what it is called at the peer
-- is learned when the table is compared; form: MD5 of the peer's key under which it was queued then. changed_at, origin, via: of its last change, as in sync_queue.
CREATE TABLE IF NOT EXISTS sync_rekeyed (
  table_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  record_hash BINARY(16) NOT NULL,
  record_id VARBINARY(3072) NULL,
  new_id VARBINARY(3072) NULL,
  form LONGTEXT NULL,
  changed_at TIMESTAMP(6) NOT NULL DEFAULT '2000-01-01 00:00:00',
  origin VARCHAR(32) CHARACTER SET ascii NULL,
  via VARCHAR(32) CHARACTER SET ascii NULL,
  PRIMARY KEY (table_name, record_hash)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
