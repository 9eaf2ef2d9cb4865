-- The tables that --install has put triggers on, and what a drain found wrong with them since.
CREATE TABLE IF NOT EXISTS sync_table (
  table_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
  enrolled_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  dirty TINYINT UNSIGNED NOT NULL DEFAULT 0,
  note VARCHAR(512) NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
