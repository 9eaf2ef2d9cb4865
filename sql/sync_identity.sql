-- What each replicated table was like when its triggers were last found or put right: a difference tells
-- what no trigger saw (docs/design.md, drift). ids: the InnoDB ids of the table or its partitions; '' = not
-- known, since that needs PROCESS. created: the server's CREATE_TIME. columns: a sum over the definitions of
-- columns, CHECKs and foreign keys. key_columns: names and types of the primary key. triggers: name, time of
-- creation, definer and hash of each of ours. boundary: ids of sync_queue up to this one hold keys of an older
-- form of the table and are not sent.
CREATE TABLE IF NOT EXISTS sync_identity (
  table_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
  ids LONGTEXT CHARACTER SET ascii NOT NULL,
  created VARCHAR(26) CHARACTER SET ascii NOT NULL,
  columns BIGINT UNSIGNED NOT NULL,
  key_columns LONGTEXT NOT NULL,
  triggers LONGTEXT NOT NULL,
  boundary BIGINT UNSIGNED NOT NULL DEFAULT 0,
  noted_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
