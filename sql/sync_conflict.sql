-- Every decided conflict, both versions whole, the one that lost and the one that won: the rows as JSON objects of column and value
-- (text; bytes as ["base64"]), NULL = the record was deleted on that side. policy: the rule that decided.
-- resolved_at, resolution: when a person decided, and for which of the two.
CREATE TABLE IF NOT EXISTS sync_conflict (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  happened_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  peer VARCHAR(32) CHARACTER SET ascii NOT NULL,
  table_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  record_id VARBINARY(3072) NOT NULL,
  policy VARCHAR(40) CHARACTER SET ascii NOT NULL,
  verdict ENUM('apply','keep','merge','ask') CHARACTER SET ascii NOT NULL,
  local_changed_at VARCHAR(26) CHARACTER SET ascii NOT NULL,
  local_origin VARCHAR(32) CHARACTER SET ascii NOT NULL,
  local_row LONGBLOB NULL,
  remote_changed_at VARCHAR(26) CHARACTER SET ascii NOT NULL,
  remote_origin VARCHAR(32) CHARACTER SET ascii NOT NULL,
  remote_row LONGBLOB NULL,
  resolved_at TIMESTAMP(6) NULL DEFAULT NULL,
  resolution ENUM('local','remote') CHARACTER SET ascii NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
