-- Records that a peer has not accepted: 'retry' (attempts are counted), 'waiting' (not the record's
-- fault: schema, missing parent that itself waits; not counted), 'parked' (a person looks at it),
-- 'discarded' (the peer keeps its own). queue_ids: the rows of sync_queue it stands for; the other
-- columns are what the collapsed record carried. sent_epoch: the group that
-- carried it last. link: as in sync_queue. record_hash: MD5 of table and key (keys are longer
-- than an index allows).
CREATE TABLE IF NOT EXISTS sync_owed (
  peer VARCHAR(32) CHARACTER SET ascii NOT NULL,
  record_hash BINARY(16) NOT NULL,
  table_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  record_id VARBINARY(3072) NOT NULL,
  state ENUM('retry','waiting','parked','discarded') CHARACTER SET ascii NOT NULL,
  attempts INT UNSIGNED NOT NULL DEFAULT 0,
  last_error VARCHAR(512) NULL,
  refused_at TIMESTAMP(6) NULL DEFAULT NULL,
  last_id BIGINT UNSIGNED NOT NULL,
  first_operation ENUM('insert','update','delete') CHARACTER SET ascii NOT NULL,
  changed_at VARCHAR(26) CHARACTER SET ascii NOT NULL,
  origin VARCHAR(32) CHARACTER SET ascii NULL,
  via VARCHAR(32) CHARACTER SET ascii NULL,
  whole TINYINT UNSIGNED NOT NULL DEFAULT 0,
  link BIGINT UNSIGNED NULL,
  sent_epoch BIGINT UNSIGNED NOT NULL DEFAULT 0,
  queue_ids LONGTEXT CHARACTER SET ascii NOT NULL,
  PRIMARY KEY (peer, record_hash)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
