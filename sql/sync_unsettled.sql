-- Records of a peer that this node has refused or not decided: until settled, every group of ours
-- that carries such a record back states seen_before as seen for it (the cursor before the first
-- epoch that brought it), so that the peer's version counts as not seen.
CREATE TABLE IF NOT EXISTS sync_unsettled (
  peer VARCHAR(32) CHARACTER SET ascii NOT NULL,
  record_hash BINARY(16) NOT NULL,
  table_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  record_id VARBINARY(3072) NOT NULL,
  seen_before BIGINT UNSIGNED NOT NULL,
  kind ENUM('refused','waiting','collision','manual') CHARACTER SET ascii NOT NULL,
  reason VARCHAR(512) NULL,
  since TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  PRIMARY KEY (peer, record_hash)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
