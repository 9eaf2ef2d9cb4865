-- Records that went away in a table within the last hour, as max_delete counts them: in a group that was sent,
-- or in one that was applied. Rows of a group that is built again replace those of the first time. had: records
-- of the table before the group, 0 where there were more than mattered.
CREATE TABLE IF NOT EXISTS sync_deletion (
  peer VARCHAR(32) CHARACTER SET ascii NOT NULL,
  direction ENUM('sent','applied') CHARACTER SET ascii NOT NULL,
  epoch BIGINT UNSIGNED NOT NULL,
  table_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  records BIGINT UNSIGNED NOT NULL,
  had BIGINT UNSIGNED NOT NULL,
  happened_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  PRIMARY KEY (peer, direction, epoch, table_name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
