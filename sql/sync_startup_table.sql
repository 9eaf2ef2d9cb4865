-- How far each table has come in a startup: all up to last_key (NULL: nothing yet) is done. Written with the rows
-- themselves, in one transaction, so that a startup that was cut goes on where it stood.
CREATE TABLE IF NOT EXISTS sync_startup_table (
  peer VARCHAR(32) CHARACTER SET ascii NOT NULL,
  table_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  last_key VARBINARY(3072) NULL,
  records BIGINT UNSIGNED NOT NULL DEFAULT 0,
  done TINYINT UNSIGNED NOT NULL DEFAULT 0,
  PRIMARY KEY (peer, table_name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
