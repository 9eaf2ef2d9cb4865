-- One row a change, appended by enqueue(), never updated by the app's sessions. No secondary
-- index: pending and concurrent are ranges of the primary key (docs/design.md, marks).
-- operation: 'dirty' = the table must be compared. record_id: the primary key as text
-- (docs/protocol.md, keys). changed_columns: what an update changed (agent/capture/mask.h; NULL: all).
-- origin: the node that made the change, via: the peer that brought it (both NULL: made here).
-- versions, difference: of single columns, for the policies merge and add ('?': not known). link: id of the row
-- that holds the key this record had before. status, attempt_count, last_error, synced_at are
-- for people: they show the worst of all peers. synced_at is 2000-01-01 until then and never NULL:
-- a row that grows when it is settled splits its page (settling took four times as long).
CREATE TABLE IF NOT EXISTS sync_queue (
  id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  table_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  operation ENUM('insert','update','delete','dirty') CHARACTER SET ascii NOT NULL,
  record_id VARBINARY(3072) NULL,
  changed_columns VARBINARY(128) NULL,
  origin VARCHAR(32) CHARACTER SET ascii NULL,
  changed_at TIMESTAMP(6) NOT NULL DEFAULT '2000-01-01 00:00:00',
  status ENUM('pending','synced','failed','superseded') CHARACTER SET ascii NOT NULL DEFAULT 'pending',
  attempt_count INT UNSIGNED NOT NULL DEFAULT 0,
  last_error VARCHAR(512) NULL,
  synced_at TIMESTAMP(6) NOT NULL DEFAULT '2000-01-01 00:00:00',
  via VARCHAR(32) CHARACTER SET ascii NULL,
  incarnation CHAR(32) CHARACTER SET ascii NULL,
  whole TINYINT UNSIGNED NOT NULL DEFAULT 0,
  versions BLOB NULL,
  difference BLOB NULL,
  link BIGINT UNSIGNED NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
