-- The last groups that went out or came in, for the page; old rows are removed.
CREATE TABLE IF NOT EXISTS sync_activity (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  happened_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  peer VARCHAR(32) CHARACTER SET ascii NOT NULL,
  direction ENUM('sent','applied') CHARACTER SET ascii NOT NULL,
  epoch BIGINT UNSIGNED NOT NULL,
  records BIGINT UNSIGNED NOT NULL,
  refused BIGINT UNSIGNED NOT NULL,
  milliseconds BIGINT UNSIGNED NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
