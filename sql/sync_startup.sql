-- Nodes that this one fills itself from (agent --startup), or once did. While state is 'filling' nothing that peers
-- send is applied here: copied rows must not meet changes of the same rows on their way. copy: with --force, this
-- node becomes a copy. records: copied.
CREATE TABLE IF NOT EXISTS sync_startup (
  peer VARCHAR(32) CHARACTER SET ascii NOT NULL PRIMARY KEY,
  state ENUM('filling','done') CHARACTER SET ascii NOT NULL,
  copy TINYINT UNSIGNED NOT NULL DEFAULT 0,
  records BIGINT UNSIGNED NOT NULL DEFAULT 0,
  began_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  ended_at TIMESTAMP(6) NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
