-- Parents that are not replicated themselves, and whose triggers tell what their foreign keys do to tables that are:
-- those triggers as they were last found or put right, as in sync_identity.
CREATE TABLE IF NOT EXISTS sync_parent (
  table_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
  triggers LONGTEXT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
